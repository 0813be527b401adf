/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files in fw_cfg, and certificates as text
 */
#include <stdint.h>

#define FW_CFG_DIRECTORY    0x19
#define FW_CFG_ENTRY        64

static void fw_cfg_select(uint16_t key)
{
    asm volatile("outw %0, %1" :: "a" (key), "Nd" ((uint16_t)0x510));
}

static uint8_t fw_cfg_byte(void)
{
    uint8_t byte;

    asm volatile("inb %1, %0" : "=a" (byte) : "Nd" ((uint16_t)0x511));
    return byte;
}

static uint32_t fw_cfg_number(int len)
{
    uint32_t number = 0;

    for (int i = 0; i < len; i++) {
        number = number << 8 | fw_cfg_byte();
    }
    return number;
}

/* The file's length, 0: there is none */
static uint32_t fw_cfg_read(const char *name, uint8_t *to, uint32_t max)
{
    uint32_t nr, len = 0, size;
    uint16_t key = 0, select;

    fw_cfg_select(FW_CFG_DIRECTORY);
    nr = fw_cfg_number(4);
    for (uint32_t i = 0; i < nr; i++) {
        int equal = 1, ended = 0;

        size = fw_cfg_number(4);
        select = fw_cfg_number(2);
        fw_cfg_number(2);
        for (int j = 0; j < FW_CFG_ENTRY - 8; j++) {
            uint8_t byte = fw_cfg_byte();

            equal = equal && (ended || byte == name[j]);
            ended = ended || !name[j];
        }
        if (equal) {
            key = select;
            len = size;
        }
    }
    if (len) {
        fw_cfg_select(key);
        for (uint32_t i = 0; i < len && i < max; i++) {
            to[i] = fw_cfg_byte();
        }
    }
    return len;
}

static int base64_value(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' :
           c >= 'a' && c <= 'z' ? c - 'a' + 26 :
           c >= '0' && c <= '9' ? c - '0' + 52 :
           c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* What is between the lines of dashes; its length */
static int pem_decode(const uint8_t *pem, int len, uint8_t *out)
{
    uint32_t bits = 0;
    int nr_bits = 0, at = 0, out_len = 0;

    while (at < len && pem[at] != '\n') {
        at++;
    }
    for (; at < len && pem[at] != '-'; at++) {
        int value = base64_value(pem[at]);

        if (value >= 0) {
            bits = bits << 6 | value;
            nr_bits += 6;
            if (nr_bits >= 8) {
                nr_bits -= 8;
                out[out_len++] = bits >> nr_bits;
            }
        }
    }
    return out_len;
}
