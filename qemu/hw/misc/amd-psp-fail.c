/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: commands that fail at random
 *
 * A host that does nothing wrong meets few of the statuses that its driver has
 * to handle.  A command that is to fail does nothing, and returns a status that
 * the API has for it and that is nobody's mistake.
 */
#include "qemu/osdep.h"
#include "hw/i386/amd-fail.h"
#include "amd-psp.h"

/*
 * HWERROR_PLATFORM is for all commands: a condition of the hardware, after
 * which their buffers can be used again.  These have others as well.
 */
static const struct {
    int cmd;
    int status;
} failures[] = {
    { 0x00a, WBINVD_REQUIRED },         /* DF_FLUSH */
    { 0x00d, SECURE_DATA_INVALID },     /* INIT_EX */
    { 0x021, DF_FLUSH_REQUIRED },       /* ACTIVATE */
    { 0x030, RESOURCE_LIMIT },          /* LAUNCH_START */
    { 0x050, RESOURCE_LIMIT },          /* RECEIVE_START */
    { 0x082, DF_FLUSH_REQUIRED },       /* SNP_SHUTDOWN */
    { 0x084, WBINVD_REQUIRED },         /* SNP_DF_FLUSH */
    { 0x086, DF_FLUSH_REQUIRED },       /* SNP_SHUTDOWN_EX */
    { 0x091, DF_FLUSH_REQUIRED },       /* SNP_ACTIVATE */
};

int psp_fail(AmdPsp *s, int cmd)
{
    int status = HWERROR_PLATFORM;
    uint32_t choice;

    if (!amd_fail(s->fail_rate, &s->fail_seed, 0, &choice)) {
        return SUCCESS;
    }
    for (int i = 0; i < ARRAY_SIZE(failures); i++) {
        if (failures[i].cmd == cmd && choice % 2) {
            status = failures[i].status;
        }
    }
    return status;
}
