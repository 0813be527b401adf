/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor, as far as SEV needs it
 *
 * A PCI device with a mailbox: the host writes the address of a command's
 * buffer and the command, and reads a status.  The commands are those of the
 * Secure Encrypted Virtualization API, AMD publication 55766, chapters 5 and 6,
 * which says for each which states it needs and how it fails.
 *
 * Not modelled: certificates and all that needs them, i.e. sessions of a
 * guest's owner, secrets, attestation, SEND and RECEIVE.  They are UNSUPPORTED.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/guest-random.h"
#include "qemu/log.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "crypto/hash.h"
#include "crypto/hmac.h"
#include "hw/i386/amd-mem-enc.h"
#include "hw/pci/msi.h"
#include "hw/pci/pci_device.h"
#include "qapi/error.h"
#include "trace.h"

#define TYPE_AMD_PSP "amd-psp"
OBJECT_DECLARE_SIMPLE_TYPE(AmdPsp, AMD_PSP)

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

#define API_MAJOR       1
#define API_MINOR       55
#define API_BUILD       1

enum {
    SUCCESS = 0x00,
    INVALID_PLATFORM_STATE = 0x01,
    INVALID_GUEST_STATE = 0x02,
    INVALID_LENGTH = 0x04,
    POLICY_FAILURE = 0x07,
    INACTIVE = 0x08,
    INVALID_ADDRESS = 0x09,
    BAD_MEASUREMENT = 0x0b,
    ASID_OWNED = 0x0c,
    INVALID_ASID = 0x0d,
    DF_FLUSH_REQUIRED = 0x0f,
    INVALID_GUEST = 0x10,
    INVALID_COMMAND = 0x11,
    ACTIVE = 0x12,
    HWERROR_PLATFORM = 0x13,
    UNSUPPORTED = 0x15,
    INVALID_PARAM = 0x16,
    RESOURCE_LIMIT = 0x17,
};

/* Of the platform */
enum { UNINIT, INIT, WORKING };

/* Of a guest */
enum { LUPDATE = 1, LSECRET, RUNNING };

#define INIT_ES         (1u << 0)
#define TMR_LEN         (1 * MiB)

#define POLICY_NODBG    (1u << 0)
#define POLICY_NOKS     (1u << 1)
#define POLICY_ES       (1u << 2)

#define NR_GUESTS       256
#define MEASURE_LEN     48
#define ID_LEN          64
#define MAX_BUFFER      64

typedef struct Guest {
    uint32_t handle;        /* 0: unused */
    uint32_t policy;
    uint32_t asid;          /* 0: not active */
    int state;
    uint8_t vek[AMD_MEM_ENC_KEY_SIZE];
    uint8_t tik[16];
    QCryptoHash *launch;    /* of all that LAUNCH_UPDATE has encrypted */
} Guest;

struct AmdPsp {
    PCIDevice parent_obj;
    MemoryRegion mmio;

    uint32_t inten, intsts, cmdresp, addr_lo, addr_hi;

    bool initialized;
    uint32_t last_handle;
    Guest guests[NR_GUESTS];
    /* ASIDs that have been in use since the last DF_FLUSH */
    bool dirty[AMD_MEM_ENC_NR_ASIDS + 1];
    uint8_t id[ID_LEN];
};

static Guest *find_guest(AmdPsp *s, uint32_t handle)
{
    for (int i = 0; handle && i < NR_GUESTS; i++) {
        if (s->guests[i].handle == handle) {
            return &s->guests[i];
        }
    }
    return NULL;
}

static int nr_guests(AmdPsp *s)
{
    int nr = 0;

    for (int i = 0; i < NR_GUESTS; i++) {
        nr += !!s->guests[i].handle;
    }
    return nr;
}

static int platform_state(AmdPsp *s)
{
    return !s->initialized ? UNINIT : nr_guests(s) ? WORKING : INIT;
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
static int init(AmdPsp *s, uint32_t flags, hwaddr tmr, uint32_t tmr_len)
{
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
    s->initialized = true;
    memset(s->dirty, true, sizeof(s->dirty));
    return SUCCESS;
}

static int cmd_init(AmdPsp *s, uint8_t *buf)
{
    return init(s, ldl_le_p(buf), ldq_le_p(buf + 8), ldl_le_p(buf + 16));
}

/* There is nothing to be kept in the file that its last members name. */
static int cmd_init_ex(AmdPsp *s, uint8_t *buf)
{
    return init(s, ldl_le_p(buf + 4), ldq_le_p(buf + 8), ldl_le_p(buf + 16));
}

static int cmd_shutdown(AmdPsp *s, uint8_t *buf)
{
    for (int i = 0; i < NR_GUESTS; i++) {
        if (s->guests[i].handle) {
            forget_guest(s, &s->guests[i]);
        }
    }
    s->initialized = false;
    return SUCCESS;
}

/* PLATFORM_RESET, PEK_GEN and PDH_GEN: there are no keys to be made. */
static int cmd_uninitialized(AmdPsp *s, uint8_t *buf)
{
    return platform_state(s) == UNINIT ? SUCCESS : INVALID_PLATFORM_STATE;
}

static int cmd_generate(AmdPsp *s, uint8_t *buf)
{
    return platform_state(s) == INIT ? SUCCESS : INVALID_PLATFORM_STATE;
}

static int cmd_platform_status(AmdPsp *s, uint8_t *buf)
{
    buf[0] = API_MAJOR;
    buf[1] = API_MINOR;
    buf[2] = platform_state(s);
    stl_le_p(buf + 3, 0);
    buf[7] = API_BUILD;
    stl_le_p(buf + 8, nr_guests(s));
    return SUCCESS;
}

static int cmd_df_flush(AmdPsp *s, uint8_t *buf)
{
    if (platform_state(s) == UNINIT) {
        return INVALID_PLATFORM_STATE;
    }
    memset(s->dirty, false, sizeof(s->dirty));
    return SUCCESS;
}

static int cmd_get_id(AmdPsp *s, uint8_t *buf)
{
    uint32_t len = ldl_le_p(buf + 8);

    stl_le_p(buf + 8, ID_LEN);
    if (len < ID_LEN) {
        return INVALID_LENGTH;
    }
    return amd_mem_enc_write(ldq_le_p(buf), 0, s->id, ID_LEN) ?
           SUCCESS : INVALID_ADDRESS;
}

static int cmd_unsupported(AmdPsp *s, uint8_t *buf)
{
    return UNSUPPORTED;
}

/* handle, policy, certificate: address and length, session: the same */
static int cmd_launch_start(AmdPsp *s, uint8_t *buf)
{
    uint32_t shared = ldl_le_p(buf), policy = ldl_le_p(buf + 4);
    unsigned major = extract32(policy, 16, 8), minor = extract32(policy, 24, 8);
    Guest *guest = NULL, *other = NULL;

    if (platform_state(s) == UNINIT) {
        return INVALID_PLATFORM_STATE;
    }
    if (major > API_MAJOR || (major == API_MAJOR && minor > API_MINOR) ||
        (policy & POLICY_ES)) {
        return POLICY_FAILURE;
    }
    if (ldl_le_p(buf + 16) || ldl_le_p(buf + 32)) {
        return UNSUPPORTED;
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
    for (int i = 0; i < NR_GUESTS && !guest; i++) {
        guest = s->guests[i].handle ? NULL : &s->guests[i];
    }
    if (!guest) {
        return RESOURCE_LIMIT;
    }
    do {
        s->last_handle++;
    } while (!s->last_handle || find_guest(s, s->last_handle));
    guest->handle = s->last_handle;
    guest->policy = policy;
    guest->state = LUPDATE;
    guest->launch = qcrypto_hash_new(QCRYPTO_HASH_ALGO_SHA256, &error_abort);
    qemu_guest_getrandom_nofail(guest->tik, sizeof(guest->tik));
    if (other) {
        memcpy(guest->vek, other->vek, sizeof(guest->vek));
    } else {
        qemu_guest_getrandom_nofail(guest->vek, sizeof(guest->vek));
    }
    stl_le_p(buf, guest->handle);
    return SUCCESS;
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

    if (guest->asid) {
        return ACTIVE;
    }
    if (!asid || asid > AMD_MEM_ENC_NR_ASIDS) {
        return INVALID_ASID;
    }
    for (int i = 0; i < NR_GUESTS; i++) {
        if (s->guests[i].handle && s->guests[i].asid == asid) {
            return ASID_OWNED;
        }
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

/* 6.5: HMAC(0x04 || API || policy || digest || nonce; TIK), then the nonce */
static bool measure(Guest *guest, uint8_t out[MEASURE_LEN])
{
    g_autoptr(QCryptoHmac) hmac = NULL;
    g_autofree uint8_t *digest = NULL, *result = NULL;
    size_t digest_len = 0, result_len = 0;
    uint8_t head[8] = { 0x04, API_MAJOR, API_MINOR, API_BUILD };
    struct iovec iov[3];

    stl_le_p(head + 4, guest->policy);
    qemu_guest_getrandom_nofail(out + 32, 16);
    hmac = qcrypto_hmac_new(QCRYPTO_HASH_ALGO_SHA256, guest->tik,
                            sizeof(guest->tik), NULL);
    if (!hmac || qcrypto_hash_finalize_bytes(guest->launch, &digest,
                                             &digest_len, NULL)) {
        return false;
    }
    iov[0] = (struct iovec) { head, sizeof(head) };
    iov[1] = (struct iovec) { digest, digest_len };
    iov[2] = (struct iovec) { out + 32, 16 };
    if (qcrypto_hmac_bytesv(hmac, iov, 3, &result, &result_len, NULL) ||
        result_len != 32) {
        return false;
    }
    memcpy(out, result, 32);
    return true;
}

static int cmd_launch_measure(AmdPsp *s, Guest *guest, uint8_t *buf)
{
    uint32_t len = ldl_le_p(buf + 16);
    uint8_t out[MEASURE_LEN];

    if (guest->state != LUPDATE) {
        return INVALID_GUEST_STATE;
    }
    stl_le_p(buf + 16, MEASURE_LEN);
    if (len < MEASURE_LEN) {
        return INVALID_LENGTH;
    }
    if (!measure(guest, out)) {
        return HWERROR_PLATFORM;
    }
    guest->state = LSECRET;
    return amd_mem_enc_write(ldq_le_p(buf + 8), 0, out, MEASURE_LEN) ?
           SUCCESS : INVALID_ADDRESS;
}

/* Only a guest's owner could have wrapped one, in a session. */
static int cmd_launch_secret(AmdPsp *s, Guest *guest, uint8_t *buf)
{
    return guest->state == LSECRET ? BAD_MEASUREMENT : INVALID_GUEST_STATE;
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
    { 0x003, 0,  .platform = cmd_uninitialized },   /* PLATFORM_RESET */
    { 0x004, 12, .platform = cmd_platform_status },
    { 0x005, 0,  .platform = cmd_generate },        /* PEK_GEN */
    { 0x006, 16, .platform = cmd_unsupported },     /* PEK_CSR */
    { 0x007, 32, .platform = cmd_unsupported },     /* PEK_CERT_IMPORT */
    { 0x008, 32, .platform = cmd_unsupported },     /* PDH_CERT_EXPORT */
    { 0x009, 0,  .platform = cmd_generate },        /* PDH_GEN */
    { 0x00a, 0,  .platform = cmd_df_flush },
    { 0x00b, 12, .platform = cmd_unsupported },     /* DOWNLOAD_FIRMWARE */
    { 0x00c, 12, .platform = cmd_get_id },
    { 0x00d, 36, .platform = cmd_init_ex },
    { 0x020, 4,  .guest = cmd_decommission },
    { 0x021, 8,  .guest = cmd_activate },
    { 0x022, 4,  .guest = cmd_deactivate },
    { 0x023, 13, .guest = cmd_guest_status },
    { 0x030, 36, .platform = cmd_launch_start },
    { 0x031, 20, .guest = cmd_launch_update },
    { 0x033, 20, .guest = cmd_launch_measure },
    { 0x034, 52, .guest = cmd_launch_secret },
    { 0x035, 4,  .guest = cmd_launch_finish },
    { 0x060, 28, .guest = cmd_dbg_decrypt },
    { 0x061, 28, .guest = cmd_dbg_encrypt },
};

static int execute(AmdPsp *s, int cmd)
{
    hwaddr addr = (uint64_t)s->addr_hi << 32 | s->addr_lo;
    uint8_t buf[MAX_BUFFER] = { 0 };
    Guest *guest;
    int i = 0, status;

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
    if (commands[i].platform) {
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
    }
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

static void amd_psp_write(void *opaque, hwaddr addr, uint64_t val,
                          unsigned size)
{
    AmdPsp *s = opaque;
    int cmd, status;

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
        cmd = extract32(val, 16, 11);
        status = execute(s, cmd);
        trace_amd_psp_command(cmd, status);
        s->cmdresp = CMDRESP_DONE | status;
        if (val & CMDRESP_INTERRUPT) {
            s->intsts |= INTSTS_CMD;
            update_irq(s);
        }
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

    if (!amd_mem_enc_present()) {
        error_setg(errp, "amd-psp needs a CPU with SEV: -cpu ...,+sev");
        return;
    }
    qemu_guest_getrandom_nofail(s->id, sizeof(s->id));
    pci->config[PCI_INTERRUPT_PIN] = 1;
    if (msi_init(pci, 0, 1, true, false, errp)) {
        return;
    }
    memory_region_init_io(&s->mmio, OBJECT(s), &amd_psp_ops, s, TYPE_AMD_PSP,
                          1 * MiB);
    pci_register_bar(pci, 2, PCI_BASE_ADDRESS_SPACE_MEMORY, &s->mmio);
}

static void amd_psp_reset(DeviceState *dev)
{
    AmdPsp *s = AMD_PSP(dev);

    s->inten = s->intsts = s->cmdresp = s->addr_lo = s->addr_hi = 0;
}

static void amd_psp_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(klass);

    k->realize = amd_psp_realize;
    k->vendor_id = PCI_VENDOR_ID_AMD;
    k->device_id = 0x14ca;
    k->class_id = PCI_CLASS_CRYPT_OTHER;
    dc->desc = "AMD Platform Security Processor";
    device_class_set_legacy_reset(dc, amd_psp_reset);
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
