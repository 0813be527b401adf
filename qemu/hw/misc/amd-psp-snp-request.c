/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: messages of SNP guests
 *
 * A guest and the firmware exchange messages that the hypervisor carries, but
 * cannot read, change, replay or reorder.  What is wrong with the envelope is
 * told to the hypervisor, by the command's status; what is wrong with the
 * request is told to the guest.
 *
 * Not modelled: messages that migrate a guest.
 *
 * Source: SNP ABI, chapter 7 and 8.26.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "hw/boards.h"
#include "amd-psp-gcm.h"
#include "amd-psp-snp.h"

struct QEMU_PACKED message_header {
    uint8_t auth_tag[32];
    uint64_t seqno;
    uint8_t reserved_1[8];
    /* From here on it is authenticated. */
    uint8_t algo;
    uint8_t hdr_version;
    uint16_t hdr_size;
    uint8_t type;
    uint8_t version;
    uint16_t size;
    uint32_t reserved_2;
    uint8_t vmpck;
    uint8_t reserved_3[35];
};

QEMU_BUILD_BUG_ON(sizeof(struct message_header) != 0x60);

#define AUTHENTICATED       offsetof(struct message_header, algo)
#define MAX_PAYLOAD         (AMD_RMP_PAGE - sizeof(struct message_header))

#define ALGO_AES_256_GCM    1

enum {
    MSG_CPUID_REQ = 1,
    MSG_CPUID_RSP,
    MSG_KEY_REQ,
    MSG_KEY_RSP,
    MSG_REPORT_REQ,
    MSG_REPORT_RSP,
    MSG_TSC_INFO_REQ = 17,
    MSG_TSC_INFO_RSP,
};

struct QEMU_PACKED report_request {
    uint8_t report_data[64];
    uint32_t vmpl;
    uint32_t key_sel;
    uint8_t reserved[24];
};

enum { KEY_VLEK_OR_VCEK, KEY_VCEK, KEY_VLEK };

#define SIGNATURE_ECDSA_P384    1
#define AUTHOR_KEY_EN           (1u << 0)
#define MASK_CHIP_KEY           (1u << 1)
#define SIGNING_KEY_VCEK        (0u << 2)
#define SIGNING_KEY_NONE        (7u << 2)
#define PLATFORM_SMT            (1u << 0)

struct QEMU_PACKED report {
    uint32_t version;
    uint32_t guest_svn;
    uint64_t policy;
    uint8_t family_id[16];
    uint8_t image_id[16];
    uint32_t vmpl;
    uint32_t signature_algo;
    uint64_t current_tcb;
    uint64_t platform_info;
    uint32_t flags;
    uint32_t reserved_1;
    uint8_t report_data[64];
    uint8_t measurement[SNP_DIGEST_LEN];
    uint8_t host_data[32];
    uint8_t id_key_digest[SNP_DIGEST_LEN];
    uint8_t author_key_digest[SNP_DIGEST_LEN];
    uint8_t report_id[32];
    uint8_t report_id_ma[32];
    uint64_t reported_tcb;
    uint8_t reserved_2[24];
    uint8_t chip_id[SNP_CHIP_ID_LEN];
    uint64_t committed_tcb;
    uint8_t current_version[4];
    uint8_t committed_version[4];
    uint64_t launch_tcb;
    uint8_t reserved_3[168];
    /* What is above is signed. */
    PspSignature signature;
    uint8_t reserved_4[368];
};

struct QEMU_PACKED report_response {
    uint32_t status;
    uint32_t size;
    uint8_t reserved[24];
    struct report report;
};

QEMU_BUILD_BUG_ON(sizeof(struct report) != 0x4a0);
QEMU_BUILD_BUG_ON(offsetof(struct report, signature) != 0x2a0);

#define TSC_INFO_LEN        128
#define CPUID_HEADER_LEN    16

/* No VLEK was ever loaded. */
bool snp_may_use_vcek(const SnpGuest *guest, uint32_t key_sel)
{
    return (key_sel == KEY_VLEK_OR_VCEK || key_sel == KEY_VCEK) &&
           !guest->vcek_disabled;
}

bool snp_may_speak_for(unsigned vmpck, uint32_t vmpl)
{
    return vmpl >= vmpck && vmpl < AMD_SNP_NR_VMPLS;
}

static int report_status(const SnpGuest *guest,
                         const struct report_request *request, unsigned vmpck)
{
    uint32_t key_sel = le32_to_cpu(request->key_sel);

    if (key_sel > 3 ||
        !buffer_is_zero(request->reserved, sizeof(request->reserved))) {
        return INVALID_PARAM;
    }
    if (!snp_may_use_vcek(guest, key_sel)) {
        return INVALID_KEY;
    }
    if (!snp_may_speak_for(vmpck, le32_to_cpu(request->vmpl))) {
        return INVALID_PARAM;
    }
    return SUCCESS;
}

static void fill_report(AmdPspSnp *snp, const SnpGuest *guest,
                        const struct report_request *request,
                        struct report *report)
{
    const uint8_t version[4] = { API_BUILD, API_MINOR, API_MAJOR };

    report->version = cpu_to_le32(2);
    report->guest_svn = guest->id.svn;
    report->policy = cpu_to_le64(guest->policy);
    memcpy(report->family_id, guest->id.family_id, sizeof(report->family_id));
    memcpy(report->image_id, guest->id.image_id, sizeof(report->image_id));
    report->vmpl = request->vmpl;
    report->signature_algo = cpu_to_le32(SIGNATURE_ECDSA_P384);
    report->current_tcb = cpu_to_le64(SNP_TCB);
    report->platform_info =
        cpu_to_le64(current_machine->smp.threads > 1 ? PLATFORM_SMT : 0);
    report->flags = cpu_to_le32(guest->has_author ? AUTHOR_KEY_EN : 0);
    memcpy(report->report_data, request->report_data,
           sizeof(report->report_data));
    memcpy(report->measurement, guest->digest, sizeof(report->measurement));
    memcpy(report->host_data, guest->host_data, sizeof(report->host_data));
    memcpy(report->id_key_digest, guest->id_key_digest,
           sizeof(report->id_key_digest));
    memcpy(report->author_key_digest, guest->author_key_digest,
           sizeof(report->author_key_digest));
    memcpy(report->report_id, guest->report_id, sizeof(report->report_id));
    memcpy(report->report_id_ma, guest->report_id_ma,
           sizeof(report->report_id_ma));
    report->reported_tcb = cpu_to_le64(snp_reported_tcb(snp));
    if (!snp->mask_chip_id) {
        memcpy(report->chip_id, snp->chip_id, sizeof(report->chip_id));
    }
    report->committed_tcb = cpu_to_le64(SNP_TCB);
    memcpy(report->current_version, version, sizeof(version));
    memcpy(report->committed_version, version, sizeof(version));
    report->launch_tcb = cpu_to_le64(SNP_TCB);
}

/* With the key for the version of the TCB that the report gives */
static void sign_report(const AmdPspSnp *snp, struct report *report)
{
    PspKey key;

    if (snp->mask_chip_key) {
        report->flags |= cpu_to_le32(MASK_CHIP_KEY | SIGNING_KEY_NONE);
        return;
    }
    report->flags |= cpu_to_le32(SIGNING_KEY_VCEK);
    snp_vcek(snp, le64_to_cpu(report->reported_tcb), &key);
    psp_key_sign(&key, report, offsetof(struct report, signature), true,
                 &report->signature);
}

static size_t answer_report(AmdPspSnp *snp, const SnpGuest *guest,
                            unsigned vmpck, const uint8_t *in, uint8_t *out)
{
    struct report_response response = {
        .size = cpu_to_le32(sizeof(response.report)),
    };
    struct report_request request;
    int status;

    memcpy(&request, in, sizeof(request));
    status = report_status(guest, &request, vmpck);
    response.status = cpu_to_le32(status);
    if (status == SUCCESS) {
        fill_report(snp, guest, &request, &response.report);
        sign_report(snp, &response.report);
    }
    memcpy(out, &response, sizeof(response));
    return sizeof(response);
}

/* The same as for a CPUID page, but the status comes first. */
static size_t answer_cpuid(const uint8_t *in, size_t len, uint8_t *out)
{
    g_autofree uint8_t *page = g_malloc0(AMD_RMP_PAGE);
    uint32_t nr = ldl_le_p(in);
    bool ok;

    memcpy(page, in, len);
    ok = snp_check_cpuid_page(page);
    memcpy(out, page, len);
    stl_le_p(out, ok ? SUCCESS : INVALID_PARAM);
    stl_le_p(out + 4, nr > SNP_CPUID_PAGE_MAX ? 0 : nr);
    memset(out + 8, 0, CPUID_HEADER_LEN - 8);
    return len;
}

/* The guest's TSC is neither scaled nor shifted: no secure TSC. */
static size_t answer_tsc_info(const uint8_t *in, uint8_t *out)
{
    memset(out, 0, TSC_INFO_LEN);
    stl_le_p(out, buffer_is_zero(in, TSC_INFO_LEN) ? SUCCESS : INVALID_PARAM);
    return TSC_INFO_LEN;
}

/* The length of the answer to @header's message, 0: it has none */
static size_t answer(AmdPspSnp *snp, const SnpGuest *guest,
                     const struct message_header *header, const uint8_t *in,
                     uint8_t *out, uint8_t *type)
{
    size_t len = le16_to_cpu(header->size);

    *type = header->type + 1;
    if (header->version != 1) {
        return 0;
    }
    switch (header->type) {
    case MSG_CPUID_REQ:
        return len >= CPUID_HEADER_LEN ? answer_cpuid(in, len, out) : 0;
    case MSG_KEY_REQ:
        return len >= SNP_KEY_REQUEST_LEN ?
               snp_answer_key(snp, guest, header->vmpck, in, out) : 0;
    case MSG_REPORT_REQ:
        return len >= sizeof(struct report_request) ?
               answer_report(snp, guest, header->vmpck, in, out) : 0;
    case MSG_TSC_INFO_REQ:
        return len >= TSC_INFO_LEN ? answer_tsc_info(in, out) : 0;
    default:
        return 0;
    }
}

static int check_pages(AmdPspSnp *snp, hwaddr request, hwaddr response)
{
    AmdRmpEntry *request_entry, *response_entry;
    PageState request_state, response_state;
    int status = snp_page_state(snp, request, &request_entry, &request_state);

    if (!status) {
        status = snp_page_state(snp, response, &response_entry,
                                &response_state);
    }
    if (status) {
        return status;
    }
    if (response_state != PAGE_FIRMWARE) {
        return INVALID_PAGE_STATE;
    }
    if ((request_entry && (request_entry->state & RMP_2M)) ||
        (response_entry->state & RMP_2M)) {
        return INVALID_PAGE_SIZE;
    }
    return SUCCESS;
}

/* Read a message whole, for others can change it, and look at its envelope. */
static int read_message(hwaddr pa, struct message_header *header,
                        uint8_t payload[MAX_PAYLOAD])
{
    size_t offset = pa % AMD_RMP_PAGE, len;

    if (offset > AMD_RMP_PAGE - sizeof(*header)) {
        return INVALID_PARAM;
    }
    if (!amd_mem_enc_read(pa, 0, header, sizeof(*header))) {
        return INVALID_ADDRESS;
    }
    len = le16_to_cpu(header->size);
    if (header->hdr_version != 1 || header->algo != ALGO_AES_256_GCM ||
        le16_to_cpu(header->hdr_size) != sizeof(*header) ||
        header->vmpck >= SNP_NR_VMPCKS || !len || len % 16 ||
        offset + sizeof(*header) + len > AMD_RMP_PAGE) {
        return INVALID_PARAM;
    }
    amd_mem_enc_read(pa + sizeof(*header), 0, payload, len);
    return SUCCESS;
}

/* The sequence number is the IV: none is ever used twice. */
static PspGcm message_gcm(const SnpGuest *guest,
                          const struct message_header *header,
                          uint8_t iv[PSP_GCM_IV_LEN])
{
    memset(iv, 0, PSP_GCM_IV_LEN);
    memcpy(iv, &header->seqno, sizeof(header->seqno));
    return (PspGcm) {
        .key = guest->vmpck[header->vmpck],
        .iv = iv,
        .aad = &header->algo,
        .aad_len = sizeof(*header) - AUTHENTICATED,
    };
}

/* gctx, request, response */
int snp_cmd_guest_request(AmdPspSnp *snp, uint8_t *buf)
{
    hwaddr request = ldq_le_p(buf + 8), response = ldq_le_p(buf + 16);
    g_autofree uint8_t *in = g_malloc0(MAX_PAYLOAD);
    g_autofree uint8_t *out = g_malloc0(MAX_PAYLOAD);
    struct message_header header, reply = { { 0 } };
    uint8_t iv[PSP_GCM_IV_LEN];
    uint64_t *count, seqno;
    SnpGuest *guest;
    PspGcm gcm;
    size_t len;
    int status = snp_find_guest(snp, ldq_le_p(buf), &guest);

    if (!status) {
        status = check_pages(snp, request, response);
    }
    if (status) {
        return status;
    }
    if (guest->state != SNP_GUEST_RUNNING) {
        return INVALID_GUEST_STATE;
    }
    status = read_message(request, &header, in);
    if (status) {
        return status;
    }
    gcm = message_gcm(guest, &header, iv);
    if (!psp_gcm_decrypt(&gcm, in, le16_to_cpu(header.size),
                         header.auth_tag)) {
        return BAD_MEASUREMENT;
    }
    count = &guest->msg_count[header.vmpck];
    seqno = le64_to_cpu(header.seqno);
    if (*count >= UINT64_MAX - 1 || seqno != *count + 1) {
        return AEAD_OFLOW;
    }
    len = answer(snp, guest, &header, in, out, &reply.type);
    if (!len ||
        response % AMD_RMP_PAGE + sizeof(reply) + len > AMD_RMP_PAGE) {
        return INVALID_PARAM;
    }
    reply.algo = ALGO_AES_256_GCM;
    reply.hdr_version = 1;
    reply.hdr_size = cpu_to_le16(sizeof(reply));
    reply.version = 1;
    reply.size = cpu_to_le16(len);
    reply.vmpck = header.vmpck;
    reply.seqno = cpu_to_le64(seqno + 1);
    gcm = message_gcm(guest, &reply, iv);
    psp_gcm_encrypt(&gcm, out, len, reply.auth_tag);
    amd_mem_enc_write(response, 0, &reply, sizeof(reply));
    amd_mem_enc_write(response + sizeof(reply), 0, out, len);
    *count += 2;
    return SUCCESS;
}
