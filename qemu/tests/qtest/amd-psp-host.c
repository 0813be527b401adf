/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor, for its tests: the host
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "libqos/fw_cfg.h"
#include "libqos/pci-pc.h"
#include "amd-psp-host.h"

static char *firmware;

void firmware_create(void)
{
    static const uint8_t reset[] = {
        0x0f, 0x09,     /* wbinvd */
        0xeb, 0xfc,     /* jmp to it */
    };
    g_autofree char *image = g_malloc0(64 * KiB);

    memcpy(image + 64 * KiB - 16, reset, sizeof(reset));
    close(g_file_open_tmp("amd-psp-XXXXXX", &firmware, NULL));
    g_assert(g_file_set_contents(firmware, image, 64 * KiB, NULL));
}

void firmware_remove(void)
{
    unlink(firmware);
    g_free(firmware);
}

Machine *machine_new(const char *seed)
{
    Machine *m = g_new0(Machine, 1);

    m->qts = qtest_initf("-machine q35 -accel tcg -m 64 -nodefaults "
                         "-cpu qemu64,+svm,+sev,phys-bits=52 -bios %s "
                         "-device amd-psp,addr=5%s%s", firmware,
                         seed ? ",seed=" : "", seed ? seed : "");
    m->bus = qpci_new_pc(m->qts, NULL);
    m->dev = qpci_device_find(m->bus, QPCI_DEVFN(5, 0));
    qpci_device_enable(m->dev);
    m->bar = qpci_iomap(m->dev, 2, NULL);
    m->asid = LAST_ASID;
    return m;
}

void machine_free(Machine *m)
{
    g_free(m->dev);
    qpci_free_pc(m->bus);
    qtest_quit(m->qts);
    g_free(m);
}

int psp(Machine *m, int cmd, void *buf, size_t len)
{
    uint32_t resp;

    qtest_memwrite(m->qts, BUFFER, buf, len);
    qpci_io_writel(m->dev, m->bar, 0x109e0, BUFFER);
    qpci_io_writel(m->dev, m->bar, 0x109e4, 0);
    qpci_io_writel(m->dev, m->bar, 0x10980, cmd << 16);
    resp = qpci_io_readl(m->dev, m->bar, 0x10980);
    g_assert_cmphex(resp >> 31, ==, 1);
    qtest_memread(m->qts, BUFFER, buf, len);
    return resp & 0xffff;
}

int psp_simple(Machine *m, int cmd, uint32_t handle)
{
    uint8_t buf[4];

    stl_le_p(buf, handle);
    return psp(m, cmd, buf, sizeof(buf));
}

void flip(Machine *m, uint64_t addr)
{
    qtest_writeb(m->qts, addr, qtest_readb(m->qts, addr) ^ 1);
}

void check_cases(Machine *m, int cmd, const uint8_t *good, size_t len,
                 const Case *cases)
{
    for (const Case *c = cases; c->what; c++) {
        uint8_t buf[80];
        int status;

        memcpy(buf, good, len);
        if (c->size == 4) {
            stl_le_p(buf + c->field, c->value);
        } else if (c->size == 8) {
            stq_le_p(buf + c->field, c->value);
        }
        if (c->byte) {
            flip(m, c->byte);
        }
        status = psp(m, cmd, buf, len);
        if (c->byte) {
            flip(m, c->byte);
        }
        if (status != c->status) {
            g_error("command 0x%02x, %s: status 0x%02x, not 0x%02x", cmd,
                    c->what, status, c->status);
        }
    }
}

/* The CPU will have done its part soon. */
static void flush(Machine *m)
{
    int status;

    for (int i = 0; i < 10000; i++) {
        status = psp_simple(m, CMD_DF_FLUSH, 0);
        if (status != WBINVD_REQUIRED) {
            break;
        }
        g_usleep(1000);
    }
    g_assert_cmphex(status, ==, SUCCESS);
}

void init(Machine *m)
{
    uint8_t buf[20] = { 0 };

    g_assert_cmphex(psp(m, CMD_INIT, buf, sizeof(buf)), ==, SUCCESS);
    flush(m);
}

int platform_owner(Machine *m)
{
    uint8_t buf[12] = { 0 };

    g_assert_cmphex(psp(m, CMD_PLATFORM_STATUS, buf, sizeof(buf)), ==, SUCCESS);
    return buf[3];
}

int guest_state(Machine *m, uint32_t handle)
{
    uint8_t buf[13] = { 0 };

    stl_le_p(buf, handle);
    g_assert_cmphex(psp(m, CMD_GUEST_STATUS, buf, sizeof(buf)), ==, SUCCESS);
    return buf[12];
}

void export_certs(Machine *m, Platform *p)
{
    uint8_t buf[28] = { 0 };

    stq_le_p(buf, CERT);
    stl_le_p(buf + 8, CERT_LEN);
    stq_le_p(buf + 16, CHAIN);
    stl_le_p(buf + 24, CHAIN_LEN);
    g_assert_cmphex(psp(m, CMD_PDH_CERT_EXPORT, buf, sizeof(buf)), ==, SUCCESS);
    qtest_memread(m->qts, CERT, p->pdh, CERT_LEN);
    qtest_memread(m->qts, CHAIN, p->pek, CERT_LEN);
    qtest_memread(m->qts, CHAIN + CERT_LEN, p->oca, CERT_LEN);
    qtest_memread(m->qts, CHAIN + 2 * CERT_LEN, p->cek, CERT_LEN);
}

void read_root(Machine *m, uint8_t certs[2 * AMD_CERT_LEN])
{
    QFWCFG *fw_cfg = pc_fw_cfg_init(m->qts);
    size_t len = qfw_cfg_get_file(fw_cfg, "etc/amd-psp/ask_ark.cert", certs,
                                  2 * AMD_CERT_LEN);

    g_assert_cmpuint(len, ==, 2 * AMD_CERT_LEN);
    pc_fw_cfg_uninit(fw_cfg);
}

void start_buffer(uint8_t buf[36], uint32_t policy)
{
    memset(buf, 0, 36);
    stl_le_p(buf + 4, policy);
    stq_le_p(buf + 8, CERT);
    stl_le_p(buf + 16, CERT_LEN);
    stq_le_p(buf + 24, SESSION);
    stl_le_p(buf + 32, SESSION_LEN);
}

void activate(Machine *m, uint32_t handle)
{
    uint8_t buf[8];

    stl_le_p(buf, handle);
    stl_le_p(buf + 4, m->asid--);
    g_assert_cmphex(psp(m, CMD_ACTIVATE, buf, sizeof(buf)), ==, SUCCESS);
}

uint32_t launch(Machine *m, Owner *owner, uint32_t policy)
{
    uint8_t buf[36] = { 0 }, cert[CERT_LEN], session[SESSION_LEN];
    Platform p;

    if (owner) {
        export_certs(m, &p);
        owner_cert(owner, PDH, ECDH_SHA256, cert);
        owner_session(owner, p.pdh, policy, session);
        qtest_memwrite(m->qts, CERT, cert, CERT_LEN);
        qtest_memwrite(m->qts, SESSION, session, SESSION_LEN);
        start_buffer(buf, policy);
    } else {
        stl_le_p(buf + 4, policy);
    }
    g_assert_cmphex(psp(m, CMD_LAUNCH_START, buf, 36), ==, SUCCESS);
    activate(m, ldl_le_p(buf));
    return ldl_le_p(buf);
}

void fill(uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        data[i] = g_test_rand_int();
    }
}

void update(Machine *m, uint32_t handle, uint64_t addr,
            const uint8_t *data)
{
    uint8_t buf[20] = { 0 };

    qtest_memwrite(m->qts, addr, data, PAGE);
    stl_le_p(buf, handle);
    stq_le_p(buf + 8, addr);
    stl_le_p(buf + 16, PAGE);
    g_assert_cmphex(psp(m, CMD_LAUNCH_UPDATE, buf, sizeof(buf)), ==, SUCCESS);
}

void measure(Machine *m, uint32_t handle, uint8_t out[MEASURE_LEN])
{
    uint8_t buf[20] = { 0 };

    stl_le_p(buf, handle);
    stq_le_p(buf + 8, OUT);
    stl_le_p(buf + 16, MEASURE_LEN);
    g_assert_cmphex(psp(m, CMD_LAUNCH_MEASURE, buf, sizeof(buf)), ==, SUCCESS);
    qtest_memread(m->qts, OUT, out, MEASURE_LEN);
}

void read_guest(Machine *m, uint32_t handle, uint64_t addr,
                uint8_t *data, uint32_t len)
{
    uint8_t buf[28] = { 0 };

    stl_le_p(buf, handle);
    stq_le_p(buf + 8, addr);
    stq_le_p(buf + 16, OUT);
    stl_le_p(buf + 24, len);
    g_assert_cmphex(psp(m, CMD_DBG_DECRYPT, buf, sizeof(buf)), ==, SUCCESS);
    qtest_memread(m->qts, OUT, data, len);
}

uint32_t run(Machine *m, uint32_t policy, const uint8_t *data)
{
    uint32_t handle = launch(m, NULL, policy);
    uint8_t out[MEASURE_LEN];

    update(m, handle, GUEST, data);
    measure(m, handle, out);
    g_assert_cmphex(psp_simple(m, CMD_LAUNCH_FINISH, handle), ==, SUCCESS);
    return handle;
}

void packet_buffer(uint8_t buf[52], uint32_t handle, uint64_t guest,
                   uint32_t len)
{
    memset(buf, 0, 52);
    stl_le_p(buf, handle);
    stq_le_p(buf + 8, HEADER);
    stl_le_p(buf + 16, HEADER_LEN);
    stq_le_p(buf + 24, guest);
    stl_le_p(buf + 32, len);
    stq_le_p(buf + 40, TRANSPORT);
    stl_le_p(buf + 48, len);
}

void send_buffer(uint8_t buf[68], uint32_t handle)
{
    memset(buf, 0, 68);
    stl_le_p(buf, handle);
    stq_le_p(buf + 8, CERT);
    stl_le_p(buf + 16, CERT_LEN);
    stq_le_p(buf + 24, CHAIN);
    stl_le_p(buf + 32, CHAIN_LEN);
    stq_le_p(buf + 40, AMD);
    stl_le_p(buf + 48, 2 * AMD_CERT_LEN);
    stq_le_p(buf + 56, SESSION);
    stl_le_p(buf + 64, SESSION_LEN);
}

void write_target(Machine *m, const Platform *p,
                  const uint8_t root[2 * AMD_CERT_LEN])
{
    qtest_memwrite(m->qts, CERT, p->pdh, CERT_LEN);
    qtest_memwrite(m->qts, CHAIN, p->pek, CHAIN_LEN);
    qtest_memwrite(m->qts, AMD, root, 2 * AMD_CERT_LEN);
}

void sign_csr(Machine *m, const Owner *owner, uint8_t buf[28])
{
    uint8_t csr_buf[12] = { 0 }, csr[CERT_LEN], oca[CERT_LEN];

    stq_le_p(csr_buf, OUT);
    g_assert_cmphex(psp(m, CMD_PEK_CSR, csr_buf, 12), ==, INVALID_LENGTH);
    g_assert_cmpuint(ldl_le_p(csr_buf + 8), ==, CERT_LEN);
    g_assert_cmphex(psp(m, CMD_PEK_CSR, csr_buf, 12), ==, SUCCESS);
    qtest_memread(m->qts, OUT, csr, CERT_LEN);
    g_assert_cmphex(ldl_le_p(csr + CERT_SIG(0)), ==, 0x1000);
    g_assert_cmphex(ldl_le_p(csr + CERT_SIG(1)), ==, 0x1000);

    owner_cert(owner, OCA, ECDSA_SHA256, oca);
    owner_sign(owner, OCA, 0, oca);
    owner_sign(owner, OCA, 0, csr);
    qtest_memwrite(m->qts, CERT, csr, CERT_LEN);
    qtest_memwrite(m->qts, CHAIN, oca, CERT_LEN);
    memset(buf, 0, 28);
    stq_le_p(buf, CERT);
    stl_le_p(buf + 8, CERT_LEN);
    stq_le_p(buf + 16, CHAIN);
    stl_le_p(buf + 24, CERT_LEN);
}
