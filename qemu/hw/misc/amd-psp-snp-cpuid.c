/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: the CPUID page of an SNP guest
 *
 * A hypervisor must not make a guest believe that the processor can do what it
 * cannot: the guest might rely on it.
 *
 * Source: SNP ABI, 7.1; the rules for each function are in the PPR.  Functions
 * that are not in the table below are not checked.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "amd-psp-snp.h"

#define HEADER_LEN      16
#define FUNCTION_LEN    48

/* Offsets in a function */
#define EAX_IN          0
#define ECX_IN          4
#define XCR0_IN         8
#define XSS_IN          16
#define EAX_OUT         24

/* Bits that may be set though the processor does not have them set */
#define ANY             0xffffffffu

static const struct {
    uint32_t eax, ecx;
    uint32_t any[4];        /* for EAX to EDX */
} functions[] = {
    /* OSXSAVE and the one for hypervisors; EAX and EBX are no features. */
    { 0x00000001, 0, { ANY, ANY, CPUID_EXT_OSXSAVE | CPUID_EXT_HYPERVISOR } },
    { 0x00000007, 0, { ANY, 0, CPUID_7_0_ECX_OSPKE } },
    { 0x0000000d, 0, { 0, ANY, ANY } },
    { 0x0000000d, 1, { 0, ANY } },
    { 0x80000001, 0, { ANY, ANY } },
    { 0x80000007, 0, { ANY, 0, ANY } },
    { 0x80000008, 0, { ANY, 0, ANY, ANY } },
    { 0x8000000a, 0, { ANY, ANY, ANY } },
    { 0x8000001f, 0, { 0, ANY, ANY, ANY } },
    { 0x80000021, 0, { 0, ANY, ANY, ANY } },
};

static uint32_t family_model_stepping(uint32_t eax)
{
    uint32_t family = extract32(eax, 8, 4), model = extract32(eax, 4, 4);

    if (family == 0xf) {
        family += extract32(eax, 20, 8);
        model |= extract32(eax, 16, 4) << 4;
    }
    return family << 16 | model << 8 | extract32(eax, 0, 4);
}

/* The size of an area of XSAVE, which is larger for each component in it */
static uint32_t xsave_size(CPUX86State *env, uint64_t components, bool compact)
{
    uint32_t size = 0x240, eax, ebx, ecx, edx;

    for (int i = 2; i < 63; i++) {
        if (components & (1ULL << i)) {
            cpu_x86_cpuid(env, 0xd, i, &eax, &ebx, &ecx, &edx);
            if (!compact) {
                size = MAX(size, eax + ebx);
            } else {
                size = (ecx & 2 ? ROUND_UP(size, 64) : size) + eax;
            }
        }
    }
    return size;
}

static void limit_function(CPUX86State *env, uint8_t *function, uint32_t *out,
                           int rule)
{
    uint32_t eax = ldl_le_p(function + EAX_IN);
    uint32_t ecx = ldl_le_p(function + ECX_IN), have[4];
    uint64_t xcr0 = ldq_le_p(function + XCR0_IN);
    uint64_t xss = ldq_le_p(function + XSS_IN);

    cpu_x86_cpuid(env, eax, ecx, &have[0], &have[1], &have[2], &have[3]);
    for (int i = 0; i < 4; i++) {
        out[i] &= have[i] | functions[rule].any[i];
    }
    if (eax == 1 && family_model_stepping(out[0]) >
                    family_model_stepping(have[0])) {
        out[0] = have[0];
    }
    if (eax == 7) {
        out[0] = MIN(out[0], have[0]);
    }
    if (eax == 0xd && ecx == 0) {
        out[0] |= 3;
        out[1] = xsave_size(env, xcr0, false);
    }
    if (eax == 0xd && ecx == 1) {
        out[1] = xsave_size(env, xcr0 | xss, true);
    }
    if (eax == 0x8000001f) {
        out[1] = (out[1] & ~0x3fu) | (have[1] & 0x3f);
    }
}

bool snp_check_cpuid_page(uint8_t page[AMD_RMP_PAGE])
{
    CPUX86State *env = &X86_CPU(first_cpu)->env;
    uint32_t nr = ldl_le_p(page);
    bool ok = true;

    if (nr > SNP_CPUID_PAGE_MAX || !buffer_is_zero(page + 4, 12)) {
        return false;
    }
    for (uint32_t n = 0; n < nr; n++) {
        uint8_t *function = page + HEADER_LEN + n * FUNCTION_LEN;

        for (int rule = 0; rule < ARRAY_SIZE(functions); rule++) {
            uint32_t out[4];

            if (functions[rule].eax != ldl_le_p(function + EAX_IN) ||
                functions[rule].ecx != ldl_le_p(function + ECX_IN)) {
                continue;
            }
            for (int i = 0; i < 4; i++) {
                out[i] = ldl_le_p(function + EAX_OUT + 4 * i);
            }
            limit_function(env, function, out, rule);
            for (int i = 0; i < 4; i++) {
                ok &= out[i] == ldl_le_p(function + EAX_OUT + 4 * i);
                stl_le_p(function + EAX_OUT + 4 * i, out[i]);
            }
        }
    }
    return ok;
}
