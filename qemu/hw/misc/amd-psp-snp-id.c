/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: identity of SNP guests
 *
 * Who owns a guest signs an ID block, which names the guest and says what its
 * launch must have been.  Who has written the guest may have signed the owner's
 * key.  The firmware trusts neither; it tells with which keys it was.
 *
 * Source: SNP ABI, 8.18, and chapter 10 for keys and signatures.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "amd-psp-snp.h"

#define ID_VERSION          1
#define ALGO_ECDSA_P384     1
#define CURVE_P384          2

struct QEMU_PACKED id_block {
    uint8_t digest[SNP_DIGEST_LEN];
    SnpGuestId id;
    uint64_t policy;
};

struct QEMU_PACKED public_key {
    uint32_t curve;
    uint8_t x[PSP_EC_FIELD];
    uint8_t y[PSP_EC_FIELD];
    uint8_t reserved[880];
};

struct QEMU_PACKED signature {
    PspSignature ec;
    uint8_t reserved[368];
};

struct QEMU_PACKED id_auth {
    uint32_t id_key_algo;
    uint32_t author_key_algo;
    uint8_t reserved_1[56];
    struct signature id_block_sig;
    struct public_key id_key;
    uint8_t reserved_2[60];
    struct signature id_key_sig;
    struct public_key author_key;
    uint8_t reserved_3[892];
};

QEMU_BUILD_BUG_ON(sizeof(struct id_block) != 0x60);
QEMU_BUILD_BUG_ON(offsetof(struct id_auth, id_key) != 0x240);
QEMU_BUILD_BUG_ON(offsetof(struct id_auth, id_key_sig) != 0x680);
QEMU_BUILD_BUG_ON(offsetof(struct id_auth, author_key) != 0x880);
QEMU_BUILD_BUG_ON(sizeof(struct id_auth) != AMD_RMP_PAGE);

static bool get_key(const struct public_key *from, PspKey *key)
{
    if (le32_to_cpu(from->curve) != CURVE_P384 ||
        !buffer_is_zero(from->x + PSP_EC_SIZE, PSP_EC_FIELD - PSP_EC_SIZE) ||
        !buffer_is_zero(from->y + PSP_EC_SIZE, PSP_EC_FIELD - PSP_EC_SIZE)) {
        return false;
    }
    memset(key->d, 0, sizeof(key->d));
    memcpy(key->x, from->x, sizeof(key->x));
    memcpy(key->y, from->y, sizeof(key->y));
    return true;
}

static bool has_signed(const struct public_key *from, const void *data,
                       size_t len, const struct signature *sig)
{
    PspKey key;

    return get_key(from, &key) &&
           psp_key_verify(&key, data, len, true, &sig->ec);
}

static int check_form(const struct id_block *block, const struct id_auth *auth,
                      bool has_author)
{
    if (le32_to_cpu(block->id.version) != ID_VERSION ||
        le32_to_cpu(auth->id_key_algo) != ALGO_ECDSA_P384 ||
        (has_author && le32_to_cpu(auth->author_key_algo) != ALGO_ECDSA_P384) ||
        !buffer_is_zero(auth->reserved_1, sizeof(auth->reserved_1)) ||
        !buffer_is_zero(auth->reserved_2, sizeof(auth->reserved_2)) ||
        !buffer_is_zero(auth->reserved_3, sizeof(auth->reserved_3))) {
        return INVALID_PARAM;
    }
    return SUCCESS;
}

/* Read each of them once: others can change them. */
int snp_identify_guest(SnpGuest *guest, hwaddr block_pa, hwaddr auth_pa,
                       bool has_author)
{
    g_autofree struct id_auth *auth = g_new(struct id_auth, 1);
    uint8_t id_digest[SNP_DIGEST_LEN], author_digest[SNP_DIGEST_LEN] = { 0 };
    struct id_block block;
    int status;

    if (!amd_mem_enc_read(block_pa, 0, &block, sizeof(block)) ||
        !amd_mem_enc_read(auth_pa, 0, auth, sizeof(*auth))) {
        return INVALID_ADDRESS;
    }
    if (memcmp(block.digest, guest->digest, sizeof(block.digest))) {
        return BAD_MEASUREMENT;
    }
    if (le64_to_cpu(block.policy) != guest->policy) {
        return POLICY_FAILURE;
    }
    status = check_form(&block, auth, has_author);
    if (status) {
        return status;
    }
    if (!has_signed(&auth->id_key, &block, sizeof(block),
                    &auth->id_block_sig) ||
        (has_author && !has_signed(&auth->author_key, &auth->id_key,
                                   sizeof(auth->id_key), &auth->id_key_sig))) {
        return BAD_SIGNATURE;
    }
    if (!snp_digest(&auth->id_key, sizeof(auth->id_key), id_digest) ||
        (has_author && !snp_digest(&auth->author_key, sizeof(auth->author_key),
                                   author_digest))) {
        return HWERROR_PLATFORM;
    }
    guest->has_id = true;
    guest->has_author = has_author;
    guest->id = block.id;
    memcpy(guest->id_key_digest, id_digest, sizeof(id_digest));
    memcpy(guest->author_key_digest, author_digest, sizeof(author_digest));
    return SUCCESS;
}
