/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: keys that SNP guests derive
 *
 * A guest gets the same key each time that it asks for it with the same fields,
 * from the same root, if it is the same guest as far as these fields say so.
 * It can ask for keys of versions that have been, and of lower VMPLs.
 *
 * How a key follows from all this is the firmware's own affair.  The VCEK as
 * root is that of the version which the guest has asked for, or, if that is not
 * among the fields, of the version which reports give.
 *
 * Source: SNP ABI, 7.2.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "amd-psp-snp.h"

#define ROOT_VMRK           (1u << 0)
#define ROOT_KEY_SEL(root)  extract32(root, 1, 2)
#define ROOT_KNOWN          0x7

#define FIELD_POLICY        (1u << 0)
#define FIELD_IMAGE_ID      (1u << 1)
#define FIELD_FAMILY_ID     (1u << 2)
#define FIELD_MEASUREMENT   (1u << 3)
#define FIELD_SVN           (1u << 4)
#define FIELD_TCB           (1u << 5)
#define FIELDS_KNOWN        0x3f

enum { OWNER_NONE, OWNER_ID_KEY, OWNER_AUTHOR_KEY };

struct QEMU_PACKED key_request {
    uint32_t root;
    uint32_t reserved;
    uint64_t fields;
    uint32_t vmpl;
    uint32_t svn;
    uint64_t tcb;
};

struct QEMU_PACKED key_response {
    uint32_t status;
    uint8_t reserved[28];
    uint8_t key[SNP_KEY_LEN];
};

/* What a key is derived from; what the guest has not asked for is 0. */
struct QEMU_PACKED key_context {
    uint8_t is_vmrk;
    uint8_t owner_kind;
    uint8_t owner[SNP_DIGEST_LEN];
    uint8_t host_data[32];
    uint32_t vmpl;
    uint64_t fields;
    uint64_t policy;
    uint8_t image_id[16];
    uint8_t family_id[16];
    uint8_t measurement[SNP_DIGEST_LEN];
    uint32_t svn;
    uint64_t tcb;
};

QEMU_BUILD_BUG_ON(sizeof(struct key_request) != 0x20);
QEMU_BUILD_BUG_ON(sizeof(struct key_response) != 0x40);

static int key_status(const AmdPspSnp *snp, const SnpGuest *guest,
                      const struct key_request *request, unsigned vmpck)
{
    uint32_t root = le32_to_cpu(request->root);
    uint64_t fields = le64_to_cpu(request->fields);

    if ((root & ~ROOT_KNOWN) || request->reserved) {
        return INVALID_PARAM;
    }
    if (!(root & ROOT_VMRK) &&
        (snp->mask_chip_key || !snp_may_use_vcek(guest, ROOT_KEY_SEL(root)))) {
        return INVALID_KEY;
    }
    if (!snp_may_speak_for(vmpck, le32_to_cpu(request->vmpl)) ||
        (fields & ~FIELDS_KNOWN) ||
        ((fields & FIELD_SVN) &&
         le32_to_cpu(request->svn) > le32_to_cpu(guest->id.svn)) ||
        ((fields & FIELD_TCB) &&
         !snp_tcb_has_been(le64_to_cpu(request->tcb)))) {
        return INVALID_PARAM;
    }
    return SUCCESS;
}

static void fill_context(const SnpGuest *guest,
                         const struct key_request *request,
                         struct key_context *context)
{
    uint64_t fields = le64_to_cpu(request->fields);

    context->is_vmrk = le32_to_cpu(request->root) & ROOT_VMRK;
    if (guest->has_author) {
        context->owner_kind = OWNER_AUTHOR_KEY;
        memcpy(context->owner, guest->author_key_digest, SNP_DIGEST_LEN);
    } else if (guest->has_id) {
        context->owner_kind = OWNER_ID_KEY;
        memcpy(context->owner, guest->id_key_digest, SNP_DIGEST_LEN);
    }
    memcpy(context->host_data, guest->host_data, sizeof(context->host_data));
    context->vmpl = request->vmpl;
    context->fields = request->fields;
    if (fields & FIELD_POLICY) {
        context->policy = cpu_to_le64(guest->policy);
    }
    if (fields & FIELD_IMAGE_ID) {
        memcpy(context->image_id, guest->id.image_id,
               sizeof(context->image_id));
    }
    if (fields & FIELD_FAMILY_ID) {
        memcpy(context->family_id, guest->id.family_id,
               sizeof(context->family_id));
    }
    if (fields & FIELD_MEASUREMENT) {
        memcpy(context->measurement, guest->digest, SNP_DIGEST_LEN);
    }
    if (fields & FIELD_SVN) {
        context->svn = request->svn;
    }
    if (fields & FIELD_TCB) {
        context->tcb = request->tcb;
    }
}

static void derive_key(const AmdPspSnp *snp, const SnpGuest *guest,
                       const struct key_request *request,
                       uint8_t key[SNP_KEY_LEN])
{
    struct key_context context = { 0 };
    uint8_t root[SNP_KEY_LEN];

    QEMU_BUILD_BUG_ON(sizeof(root) != PSP_DIGEST_SIZE);
    fill_context(guest, request, &context);
    if (context.is_vmrk) {
        memcpy(root, guest->vmrk, sizeof(root));
    } else if (le64_to_cpu(request->fields) & FIELD_TCB) {
        snp_vcek_secret(snp, le64_to_cpu(request->tcb), root);
    } else {
        snp_vcek_secret(snp, snp_reported_tcb(snp), root);
    }
    psp_kdf(root, sizeof(root), "guest key", &context, sizeof(context), key,
            SNP_KEY_LEN);
}

size_t snp_answer_key(AmdPspSnp *snp, const SnpGuest *guest, unsigned vmpck,
                      const uint8_t *in, uint8_t *out)
{
    struct key_response response = { 0 };
    struct key_request request;
    int status;

    memcpy(&request, in, sizeof(request));
    status = key_status(snp, guest, &request, vmpck);
    response.status = cpu_to_le32(status);
    if (status == SUCCESS) {
        derive_key(snp, guest, &request, response.key);
    }
    memcpy(out, &response, sizeof(response));
    return sizeof(response);
}
