/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor, as far as SEV needs it
 *
 * A PCI device with a mailbox: the host writes the address of a command's
 * buffer and the command, and reads a status.  The commands are those of the
 * Secure Encrypted Virtualization API, AMD publication 55766, chapters 5 and 6,
 * which says for each which states it needs and how it fails.
 *
 * Keys of the platform are in amd-psp-keys.c, sessions and what is encrypted in
 * them in amd-psp-session.c, SEND and RECEIVE in amd-psp-migrate.c, and the
 * commands of SNP in amd-psp-snp*.c.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/guest-random.h"
#include "qemu/log.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/pci/msi.h"
#include "hw/qdev-properties.h"
#include "qapi/error.h"
#include "trace.h"
#include "amd-psp.h"
#include "amd-psp-snp.h"

/* Registers, in BAR 2 */
#define REG_INTEN       0x10690
#define REG_INTSTS      0x10694
#define REG_CMDRESP     0x10980
#define REG_ADDR_LO     0x109e0
#define REG_ADDR_HI     0x109e4
#define REG_BOOTLOADER  0x109ec
#define REG_FEATURES    0x109fc

#define CMDRESP_INTERRUPT   (1u << 0)
#define CMDRESP_DONE        (1u << 31)
#define INTSTS_CMD          (1u << 1)
#define FEATURES_SEV        (1u << 0)
#define BOOTLOADER_VERSION  0x00010055

#define INIT_ES         (1u << 0)
#define STATUS_ES       (1u << 8)
#define INIT_EX_LEN     36
#define TMR_LEN         (1 * MiB)

#define MEASURE_LEN     48
#define ROOT_FILE       "etc/amd-psp/ask_ark.cert"
#define MAX_BUFFER      68

int psp_output(hwaddr addr, uint8_t *len, const void *data, uint32_t size)
{
    uint32_t given = ldl_le_p(len);

    stl_le_p(len, size);
    if (given < size) {
        return INVALID_LENGTH;
    }
    return amd_mem_enc_write(addr, 0, data, size) ? SUCCESS : INVALID_ADDRESS;
}

int psp_input(hwaddr addr, uint32_t len, void *data, uint32_t size)
{
    if (len != size) {
        return INVALID_LENGTH;
    }
    return amd_mem_enc_read(addr, 0, data, size) ? SUCCESS : INVALID_ADDRESS;
}

static Guest *find_guest(AmdPsp *s, uint32_t handle)
{
    for (int i = 0; handle && i < NR_GUESTS; i++) {
        if (s->guests[i].handle == handle) {
            return &s->guests[i];
        }
    }
    return NULL;
}

static void deactivate(AmdPsp *s, Guest *guest)
{
    if (guest->asid) {
        amd_mem_enc_drop_key(guest->asid);
        s->dirty[guest->asid] = true;
        guest->asid = 0;
    }
}

static void forget_guest(AmdPsp *s, Guest *guest)
{
    deactivate(s, guest);
    qcrypto_hash_free(guest->launch);
    memset(guest, 0, sizeof(*guest));
}

/* Flags, and address and length of the trusted memory that SEV-ES needs */
static int init(AmdPsp *s, uint32_t flags, hwaddr tmr, uint32_t tmr_len,
                hwaddr nv_addr)
{
    int status;

    if (platform_state(s) != UNINIT) {
        return INVALID_PLATFORM_STATE;
    }
    if (flags & ~INIT_ES) {
        return INVALID_PARAM;
    }
    if ((flags & INIT_ES) && (tmr % TMR_LEN || tmr_len < TMR_LEN ||
                              !amd_mem_enc_is_ram(tmr, TMR_LEN))) {
        return INVALID_ADDRESS;
    }
    s->nv_addr = nv_addr;
    if (nv_addr) {
        status = psp_nv_load(s);
        if (status) {
            return status;
        }
    }
    psp_keys_load(s);
    s->initialized = true;
    s->es = flags & INIT_ES;
    memset(s->dirty, true, sizeof(s->dirty));
    return SUCCESS;
}

static int cmd_init(AmdPsp *s, uint8_t *buf)
{
    return init(s, ldl_le_p(buf), ldq_le_p(buf + 8), ldl_le_p(buf + 16), 0);
}

/* The same, and address and length of what the host keeps for the platform */
static int cmd_init_ex(AmdPsp *s, uint8_t *buf)
{
    hwaddr nv_addr = ldq_le_p(buf + 24);
    uint32_t nv_len = ldl_le_p(buf + 32);

    if (platform_state(s) != UNINIT) {
        return INVALID_PLATFORM_STATE;
    }
    if (ldl_le_p(buf) != INIT_EX_LEN || (nv_len && nv_len != PSP_NV_LEN)) {
        return INVALID_LENGTH;
    }
    if (nv_len && (!nv_addr || nv_addr % (4 * KiB) ||
                   !amd_mem_enc_is_ram(nv_addr, nv_len))) {
        return INVALID_ADDRESS;
    }
    return init(s, ldl_le_p(buf + 4), ldq_le_p(buf + 8), ldl_le_p(buf + 16),
                nv_len ? nv_addr : 0);
}

static void uninitialize(AmdPsp *s)
{
    for (int i = 0; i < NR_GUESTS; i++) {
        if (s->guests[i].handle) {
            forget_guest(s, &s->guests[i]);
        }
    }
    s->initialized = false;
    s->es = false;
}

static int cmd_shutdown(AmdPsp *s, uint8_t *buf)
{
    uninitialize(s);
    return SUCCESS;
}

static int cmd_platform_status(AmdPsp *s, uint8_t *buf)
{
    buf[0] = API_MAJOR;
    buf[1] = s->api_minor;
    buf[2] = platform_state(s);
    stl_le_p(buf + 3, s->keys.owned | (s->es ? STATUS_ES : 0));
    buf[7] = API_BUILD;
    stl_le_p(buf + 8, nr_guests(s));
    return SUCCESS;
}

static int cmd_df_flush(AmdPsp *s, uint8_t *buf)
{
    if (platform_state(s) == UNINIT) {
        return INVALID_PLATFORM_STATE;
    }
    if (amd_mem_enc_needs_wbinvd()) {
        return WBINVD_REQUIRED;
    }
    memset(s->dirty, false, sizeof(s->dirty));
    return SUCCESS;
}

static int cmd_get_id(AmdPsp *s, uint8_t *buf)
{
    return psp_output(ldq_le_p(buf), buf + 8, s->id, ID_LEN);
}

static int cmd_unsupported(AmdPsp *s, uint8_t *buf)
{
    return UNSUPPORTED;
}

/* handle, policy, certificate: address and length, session: the same */
static int start_guest(AmdPsp *s, uint8_t *buf, int state)
{
    uint32_t shared = ldl_le_p(buf), policy = ldl_le_p(buf + 4);
    unsigned major = extract32(policy, 16, 8), minor = extract32(policy, 24, 8);
    Guest new = { .policy = policy, .state = state };
    Guest *guest = NULL, *other = NULL;
    int status;

    if (platform_state(s) == UNINIT) {
        return INVALID_PLATFORM_STATE;
    }
    if (major > API_MAJOR || (major == API_MAJOR && minor > s->api_minor) ||
        ((policy & POLICY_ES) && !s->es)) {
        return POLICY_FAILURE;
    }
    if (shared) {
        other = find_guest(s, shared);
        if (!other) {
            return INVALID_GUEST;
        }
        if (policy != other->policy || (policy & POLICY_NOKS)) {
            return POLICY_FAILURE;
        }
    }
    /* A guest that is launched needs no owner. */
    if (state == LUPDATE && !ldl_le_p(buf + 16) && !ldl_le_p(buf + 32)) {
        qemu_guest_getrandom_nofail(new.tek, sizeof(new.tek));
        qemu_guest_getrandom_nofail(new.tik, sizeof(new.tik));
    } else {
        status = psp_session_open(s, &new, buf + 8);
        if (status) {
            return status;
        }
    }
    for (int i = 0; i < NR_GUESTS && !guest; i++) {
        guest = s->guests[i].handle ? NULL : &s->guests[i];
    }
    if (!guest) {
        return RESOURCE_LIMIT;
    }
    do {
        s->last_handle++;
    } while (!s->last_handle || find_guest(s, s->last_handle));
    new.handle = s->last_handle;
    new.launch = qcrypto_hash_new(QCRYPTO_HASH_ALGO_SHA256, &error_abort);
    if (other) {
        memcpy(new.vek, other->vek, sizeof(new.vek));
    } else {
        qemu_guest_getrandom_nofail(new.vek, sizeof(new.vek));
    }
    *guest = new;
    stl_le_p(buf, guest->handle);
    return SUCCESS;
}

static int cmd_launch_start(AmdPsp *s, uint8_t *buf)
{
    return start_guest(s, buf, LUPDATE);
}

static int cmd_receive_start(AmdPsp *s, uint8_t *buf)
{
    /* Not modelled: RECEIVE_UPDATE_VMSA, i.e. the state of its CPUs. */
    if (platform_state(s) != UNINIT && (ldl_le_p(buf + 4) & POLICY_ES)) {
        return UNSUPPORTED;
    }
    return start_guest(s, buf, RUPDATE);
}

static int cmd_decommission(AmdPsp *s, Guest *guest, uint8_t *buf)
{
    if (guest->asid) {
        return ACTIVE;
    }
    forget_guest(s, guest);
    return SUCCESS;
}

static int cmd_activate(AmdPsp *s, Guest *guest, uint8_t *buf)
{
    uint32_t asid = ldl_le_p(buf + 4);
    uint32_t min_no_es = x86_min_sev_no_es_asid(&X86_CPU(first_cpu)->env);
    bool es = guest->policy & POLICY_ES;

    if (guest->state == SENT) {
        return INVALID_GUEST_STATE;
    }
    if (guest->asid) {
        return ACTIVE;
    }
    if (!asid || asid > AMD_MEM_ENC_NR_ASIDS || es != (asid < min_no_es)) {
        return INVALID_ASID;
    }
    for (int i = 0; i < NR_GUESTS; i++) {
        if (s->guests[i].handle && s->guests[i].asid == asid) {
            return ASID_OWNED;
        }
    }
    if (amd_psp_snp_owns_asid(s->snp, asid)) {
        return ASID_OWNED;
    }
    if (s->dirty[asid]) {
        return DF_FLUSH_REQUIRED;
    }
    amd_mem_enc_set_key(asid, guest->vek);
    guest->asid = asid;
    return SUCCESS;
}

static int cmd_deactivate(AmdPsp *s, Guest *guest, uint8_t *buf)
{
    deactivate(s, guest);
    return SUCCESS;
}

static int cmd_guest_status(AmdPsp *s, Guest *guest, uint8_t *buf)
{
    stl_le_p(buf + 4, guest->policy);
    stl_le_p(buf + 8, guest->asid);
    buf[12] = guest->state;
    return SUCCESS;
}

/* Copy RAM from one key to another, by way of @hash. */
static void recrypt(hwaddr src, unsigned src_asid, hwaddr dst,
                    unsigned dst_asid, uint32_t len, QCryptoHash *hash)
{
    uint8_t data[4 * KiB];

    while (len) {
        size_t n = MIN(len, sizeof(data) - src % sizeof(data));

        amd_mem_enc_read(src, src_asid, data, n);
        amd_mem_enc_write(dst, dst_asid, data, n);
        if (hash) {
            qcrypto_hash_update(hash, (char *)data, n, &error_abort);
        }
        src += n;
        dst += n;
        len -= n;
    }
}

/* Encrypt LEN bytes in place, which the launch digest is to have. */
static int cmd_launch_update(AmdPsp *s, Guest *guest, uint8_t *buf)
{
    hwaddr addr = ldq_le_p(buf + 8);
    uint32_t len = ldl_le_p(buf + 16);

    if (guest->state != LUPDATE) {
        return INVALID_GUEST_STATE;
    }
    if (!guest->asid) {
        return INACTIVE;
    }
    if (!len || len % 16) {
        return INVALID_LENGTH;
    }
    if (addr % 16 || !amd_mem_enc_is_ram(addr, len)) {
        return INVALID_ADDRESS;
    }
    recrypt(addr, 0, addr, guest->asid, len, guest->launch);
    return SUCCESS;
}

/* The same for the state of a processor, which VMRUN checks. */
static int cmd_launch_update_vmsa(AmdPsp *s, Guest *guest, uint8_t *buf)
{
    hwaddr addr = ldq_le_p(buf + 8);
    struct vmsa vmsa;
    int status;

    if (!(guest->policy & POLICY_ES)) {
        return POLICY_FAILURE;
    }
    if (guest->state == LUPDATE && guest->asid) {
        if (ldl_le_p(buf + 16) != TARGET_PAGE_SIZE) {
            return INVALID_LENGTH;
        }
        if (addr % TARGET_PAGE_SIZE) {
            return INVALID_ADDRESS;
        }
    }
    status = cmd_launch_update(s, guest, buf);
    if (status == SUCCESS) {
        amd_mem_enc_read(addr, guest->asid, &vmsa, sizeof(vmsa));
        amd_mem_enc_seal(addr, &vmsa, sizeof(vmsa));
    }
    return status;
}

/* 6.5: HMAC(0x04 || API || policy || digest || nonce; TIK), then the nonce */
static int cmd_launch_measure(AmdPsp *s, Guest *guest, uint8_t *buf)
{
    g_autofree uint8_t *digest = NULL;
    size_t digest_len = 0;
    uint8_t head[8] = { 0x04, API_MAJOR, s->api_minor, API_BUILD };
    uint8_t out[MEASURE_LEN];
    struct iovec iov[] = {
        { head, sizeof(head) },
        { guest->digest, sizeof(guest->digest) },
        { out + PSP_DIGEST_SIZE, MEASURE_LEN - PSP_DIGEST_SIZE },
    };
    hwaddr addr = ldq_le_p(buf + 8);
    uint32_t len = ldl_le_p(buf + 16);

    if (guest->state != LUPDATE) {
        return INVALID_GUEST_STATE;
    }
    stl_le_p(buf + 16, MEASURE_LEN);
    if (len < MEASURE_LEN) {
        return INVALID_LENGTH;
    }
    if (!amd_mem_enc_is_ram(addr, MEASURE_LEN)) {
        return INVALID_ADDRESS;
    }
    if (qcrypto_hash_finalize_bytes(guest->launch, &digest, &digest_len,
                                    NULL) ||
        digest_len != sizeof(guest->digest)) {
        return HWERROR_PLATFORM;
    }
    memcpy(guest->digest, digest, sizeof(guest->digest));
    stl_le_p(head + 4, guest->policy);
    qemu_guest_getrandom_nofail(out + PSP_DIGEST_SIZE,
                                MEASURE_LEN - PSP_DIGEST_SIZE);
    psp_hmac(guest->tik, iov, ARRAY_SIZE(iov), out);
    memcpy(guest->measure, out, sizeof(guest->measure));
    amd_mem_enc_write(addr, 0, out, MEASURE_LEN);
    guest->state = LSECRET;
    return SUCCESS;
}

static int cmd_launch_finish(AmdPsp *s, Guest *guest, uint8_t *buf)
{
    if (guest->state != LSECRET) {
        return INVALID_GUEST_STATE;
    }
    guest->state = RUNNING;
    return SUCCESS;
}

static int debug(Guest *guest, uint8_t *buf, bool encrypts)
{
    hwaddr src = ldq_le_p(buf + 8), dst = ldq_le_p(buf + 16);
    uint32_t len = ldl_le_p(buf + 24);

    if (guest->policy & POLICY_NODBG) {
        return POLICY_FAILURE;
    }
    if (!guest->asid) {
        return INACTIVE;
    }
    if (!len || len % 16) {
        return INVALID_LENGTH;
    }
    if ((src | dst) % 16 || !amd_mem_enc_is_ram(src, len) ||
        !amd_mem_enc_is_ram(dst, len)) {
        return INVALID_ADDRESS;
    }
    recrypt(src, encrypts ? 0 : guest->asid, dst, encrypts ? guest->asid : 0,
            len, NULL);
    return SUCCESS;
}

static int cmd_dbg_decrypt(AmdPsp *s, Guest *guest, uint8_t *buf)
{
    return debug(guest, buf, false);
}

static int cmd_dbg_encrypt(AmdPsp *s, Guest *guest, uint8_t *buf)
{
    return debug(guest, buf, true);
}

static const struct {
    int cmd;
    size_t len;     /* of its buffer, 0: it has none */
    int (*platform)(AmdPsp *s, uint8_t *buf);
    /* The buffer begins with a guest's handle. */
    int (*guest)(AmdPsp *s, Guest *guest, uint8_t *buf);
} commands[] = {
    { 0x001, 20, .platform = cmd_init },
    { 0x002, 0,  .platform = cmd_shutdown },
    { 0x003, 0,  .platform = psp_cmd_platform_reset },
    { 0x004, 12, .platform = cmd_platform_status },
    { 0x005, 0,  .platform = psp_cmd_pek_gen },
    { 0x006, 12, .platform = psp_cmd_pek_csr },
    { 0x007, 28, .platform = psp_cmd_pek_cert_import },
    { 0x008, 28, .platform = psp_cmd_pdh_cert_export },
    { 0x009, 0,  .platform = psp_cmd_pdh_gen },
    { 0x00a, 0,  .platform = cmd_df_flush },
    { 0x00b, 12, .platform = cmd_unsupported },     /* DOWNLOAD_FIRMWARE */
    { 0x00c, 12, .platform = cmd_get_id },
    { 0x00d, INIT_EX_LEN, .platform = cmd_init_ex },
    { 0x020, 4,  .guest = cmd_decommission },
    { 0x021, 8,  .guest = cmd_activate },
    { 0x022, 4,  .guest = cmd_deactivate },
    { 0x023, 13, .guest = cmd_guest_status },
    { 0x030, 36, .platform = cmd_launch_start },
    { 0x031, 20, .guest = cmd_launch_update },
    { 0x032, 20, .guest = cmd_launch_update_vmsa },
    { 0x033, 20, .guest = cmd_launch_measure },
    { 0x034, 52, .guest = psp_cmd_launch_secret },
    { 0x035, 4,  .guest = cmd_launch_finish },
    { 0x036, 36, .guest = psp_cmd_attestation_report },
    { 0x040, 68, .guest = psp_cmd_send_start },
    { 0x041, 52, .guest = psp_cmd_send_update_data },
    { 0x043, 4,  .guest = psp_cmd_send_finish },
    { 0x044, 4,  .guest = psp_cmd_send_cancel },
    { 0x050, 36, .platform = cmd_receive_start },
    { 0x051, 52, .guest = psp_cmd_receive_update_data },
    { 0x053, 4,  .guest = psp_cmd_receive_finish },
    { 0x060, 28, .guest = cmd_dbg_decrypt },
    { 0x061, 28, .guest = cmd_dbg_encrypt },
};

static int execute_snp(AmdPsp *s, int cmd, hwaddr addr)
{
    AmdPspSev sev = {
        .initialized = s->initialized,
        .dirty = s->dirty,
        .failure = psp_fail(s, cmd),
    };

    for (int i = 0; i < NR_GUESTS; i++) {
        if (s->guests[i].handle && s->guests[i].asid) {
            sev.asids |= 1ULL << s->guests[i].asid;
        }
    }
    return amd_psp_snp_execute(s->snp, &sev, cmd, addr);
}

static int execute(AmdPsp *s, int cmd, hwaddr addr)
{
    uint8_t buf[MAX_BUFFER] = { 0 };
    Guest *guest;
    int i = 0, status;

    if (cmd >= FIRST_SNP_COMMAND) {
        return execute_snp(s, cmd, addr);
    }
    while (i < ARRAY_SIZE(commands) && commands[i].cmd != cmd) {
        i++;
    }
    if (i == ARRAY_SIZE(commands)) {
        return INVALID_COMMAND;
    }
    /* Read once: other CPUs can write to it. */
    if (commands[i].len && !amd_mem_enc_read(addr, 0, buf, commands[i].len)) {
        return INVALID_ADDRESS;
    }
    status = amd_psp_snp_check_legacy(s->snp, cmd, addr, buf, commands[i].len);
    if (status) {
        return status;
    }
    status = psp_fail(s, cmd);
    if (status) {
        /* The command does nothing. */
    } else if (commands[i].platform) {
        status = commands[i].platform(s, buf);
    } else if (platform_state(s) == UNINIT) {
        return INVALID_PLATFORM_STATE;
    } else {
        guest = find_guest(s, ldl_le_p(buf));
        if (!guest) {
            return INVALID_GUEST;
        }
        status = commands[i].guest(s, guest, buf);
    }
    if (commands[i].len) {
        amd_mem_enc_write(addr, 0, buf, commands[i].len);
        amd_psp_snp_end_legacy(s->snp, cmd, addr);
    }
    return status;
}

/*
 * With SNP, commands are allowed or not by what the RMP says.  It must not
 * change while they are executed.
 */
static int execute_alone(AmdPsp *s, int cmd, hwaddr addr)
{
    AmdStoppedCpus stopped;
    int status;

    if (!amd_rmp_present()) {
        return execute(s, cmd, addr);
    }
    amd_stop_cpus(&stopped);
    status = execute(s, cmd, addr);
    amd_resume_cpus(&stopped);
    return status;
}

static void update_irq(AmdPsp *s)
{
    PCIDevice *pci = PCI_DEVICE(s);
    bool level = s->intsts & s->inten;

    if (!msi_enabled(pci)) {
        pci_set_irq(pci, level);
    } else if (level) {
        msi_notify(pci, 0);
    }
}

static uint64_t amd_psp_read(void *opaque, hwaddr addr, unsigned size)
{
    AmdPsp *s = opaque;

    switch (addr) {
    case REG_INTEN:
        return s->inten;
    case REG_INTSTS:
        return s->intsts;
    case REG_CMDRESP:
        return s->cmdresp;
    case REG_ADDR_LO:
        return s->addr_lo;
    case REG_ADDR_HI:
        return s->addr_hi;
    case REG_BOOTLOADER:
        return BOOTLOADER_VERSION;
    case REG_FEATURES:
        return FEATURES_SEV;
    default:
        return 0;
    }
}

/*
 * While a command is executed the BQL is dropped, and other CPUs can access the
 * registers.  There is one command at a time: until it is done, another one is
 * ignored.
 */
static void start_command(AmdPsp *s, uint32_t val)
{
    hwaddr addr = (uint64_t)s->addr_hi << 32 | s->addr_lo;
    int cmd = extract32(val, 16, 11), status;

    if (s->busy) {
        return;
    }
    s->busy = true;
    s->cmdresp = 0;
    status = execute_alone(s, cmd, addr);
    trace_amd_psp_command(cmd, status);
    s->cmdresp = CMDRESP_DONE | status;
    s->busy = false;
    if (val & CMDRESP_INTERRUPT) {
        s->intsts |= INTSTS_CMD;
        update_irq(s);
    }
}

static void amd_psp_write(void *opaque, hwaddr addr, uint64_t val,
                          unsigned size)
{
    AmdPsp *s = opaque;

    switch (addr) {
    case REG_INTEN:
        s->inten = val;
        update_irq(s);
        break;
    case REG_INTSTS:
        s->intsts &= ~val;
        if (!msi_enabled(PCI_DEVICE(s))) {
            update_irq(s);
        }
        break;
    case REG_ADDR_LO:
        s->addr_lo = val;
        break;
    case REG_ADDR_HI:
        s->addr_hi = val;
        break;
    case REG_CMDRESP:
        start_command(s, val);
        break;
    }
}

static const MemoryRegionOps amd_psp_ops = {
    .read = amd_psp_read,
    .write = amd_psp_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .impl = {
        .min_access_size = 4,
        .max_access_size = 4,
    },
};

static void amd_psp_realize(PCIDevice *pci, Error **errp)
{
    AmdPsp *s = AMD_PSP(pci);
    FWCfgState *fw_cfg = fw_cfg_find();
    bool ambiguous = false;
    PspAmdCerts *root;

    if (!amd_mem_enc_present()) {
        error_setg(errp, "amd-psp needs a CPU with SEV: -cpu ...,+sev");
        return;
    }
    object_resolve_path_type("", TYPE_AMD_PSP, &ambiguous);
    if (ambiguous) {
        error_setg(errp, "a machine has one amd-psp at most");
        return;
    }
    pci->config[PCI_INTERRUPT_PIN] = 1;
    if (msi_init(pci, 0, 1, true, false, errp)) {
        return;
    }
    s->snp = amd_psp_snp_new(s->secret, s->id);
    psp_keys_realize(s);
    if (fw_cfg) {
        /* AMD's are on its web site. */
        root = g_new(PspAmdCerts, 1);
        psp_root_certs(root);
        fw_cfg_add_file(fw_cfg, ROOT_FILE, root, sizeof(*root));
        amd_psp_snp_add_files(s->snp, fw_cfg);
    }
    memory_region_init_io(&s->mmio, OBJECT(s), &amd_psp_ops, s, TYPE_AMD_PSP,
                          1 * MiB);
    /* start_command() knows that it may be interrupted. */
    s->mmio.disable_reentrancy_guard = true;
    pci_register_bar(pci, 2, PCI_BASE_ADDRESS_SPACE_MEMORY, &s->mmio);
}

static void amd_psp_reset(DeviceState *dev)
{
    AmdPsp *s = AMD_PSP(dev);

    uninitialize(s);
    s->inten = s->intsts = s->cmdresp = s->addr_lo = s->addr_hi = 0;
    s->nv_addr = 0;
    amd_psp_snp_reset(s->snp);
}

static const Property amd_psp_properties[] = {
    DEFINE_PROP_STRING("seed", AmdPsp, seed),
    DEFINE_PROP_UINT8("api-minor", AmdPsp, api_minor, API_MINOR),
    DEFINE_PROP_UINT32("x-fail-rate", AmdPsp, fail_rate, 0),
    DEFINE_PROP_UINT64("x-fail-seed", AmdPsp, fail_seed, 0),
};

static void amd_psp_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(klass);

    k->realize = amd_psp_realize;
    k->vendor_id = PCI_VENDOR_ID_AMD;
    k->device_id = 0x14ca;
    k->class_id = PCI_CLASS_CRYPT_OTHER;
    dc->desc = "AMD Platform Security Processor";
    dc->hotpluggable = false;
    device_class_set_legacy_reset(dc, amd_psp_reset);
    device_class_set_props(dc, amd_psp_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo amd_psp_info = {
    .name = TYPE_AMD_PSP,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(AmdPsp),
    .class_init = amd_psp_class_init,
    .interfaces = (InterfaceInfo[]) {
        { INTERFACE_CONVENTIONAL_PCI_DEVICE },
        { },
    },
};

static void amd_psp_register_types(void)
{
    type_register_static(&amd_psp_info);
}

type_init(amd_psp_register_types)
