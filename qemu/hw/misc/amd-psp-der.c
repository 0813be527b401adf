/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: ASN.1 in DER, to write certificates
 *
 * Source: ITU-T X.690, chapters 8 and 10.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "amd-psp-der.h"

guint der_begin(GByteArray *der, uint8_t tag)
{
    g_byte_array_append(der, &tag, 1);
    return der->len;
}

/* The length comes first, in as few bytes as there can be. */
void der_end(GByteArray *der, guint begin)
{
    size_t len = der->len - begin, nr = len < 0x80 ? 1 : len < 0x100 ? 2 : 3;
    uint8_t *content;

    assert(len <= UINT16_MAX);
    g_byte_array_set_size(der, der->len + nr);
    content = der->data + begin;
    memmove(content + nr, content, len);
    switch (nr) {
    case 1:
        content[0] = len;
        break;
    case 2:
        content[0] = 0x81;
        content[1] = len;
        break;
    default:
        content[0] = 0x82;
        stw_be_p(content + 1, len);
        break;
    }
}

void der_value(GByteArray *der, uint8_t tag, const void *data, size_t len)
{
    guint begin = der_begin(der, tag);

    g_byte_array_append(der, data, len);
    der_end(der, begin);
}

void der_string(GByteArray *der, uint8_t tag, const char *text)
{
    der_value(der, tag, text, strlen(text));
}

/* No leading zeroes but one, if the number would be negative without */
void der_integer(GByteArray *der, const uint8_t *bytes, size_t len)
{
    static const uint8_t zero;
    guint begin = der_begin(der, DER_INTEGER);

    while (len > 1 && !*bytes) {
        bytes++;
        len--;
    }
    if (*bytes & 0x80) {
        g_byte_array_append(der, &zero, 1);
    }
    g_byte_array_append(der, bytes, len);
    der_end(der, begin);
}

void der_small_integer(GByteArray *der, uint32_t value)
{
    uint8_t bytes[4];

    stl_be_p(bytes, value);
    der_integer(der, bytes, sizeof(bytes));
}

/* Seven bits a byte; bit 7 says that there are more. */
static void put_arc(GByteArray *der, uint32_t arc)
{
    for (int shift = 28; shift >= 0; shift -= 7) {
        uint8_t byte = (arc >> shift) & 0x7f;

        if (arc >> shift || !shift) {
            byte |= shift ? 0x80 : 0;
            g_byte_array_append(der, &byte, 1);
        }
    }
}

/* The first two arcs share a byte. */
void der_oid(GByteArray *der, const char *oid)
{
    g_auto(GStrv) arcs = g_strsplit(oid, ".", 0);
    guint begin = der_begin(der, DER_OID);

    put_arc(der, 40 * atoi(arcs[0]) + atoi(arcs[1]));
    for (int i = 2; arcs[i]; i++) {
        put_arc(der, atoi(arcs[i]));
    }
    der_end(der, begin);
}
