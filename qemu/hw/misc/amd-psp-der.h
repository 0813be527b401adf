/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: ASN.1 in DER, to write certificates
 */
#ifndef HW_MISC_AMD_PSP_DER_H
#define HW_MISC_AMD_PSP_DER_H

enum {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_OCTET_STRING = 0x04,
    DER_NULL = 0x05,
    DER_OID = 0x06,
    DER_UTF8_STRING = 0x0c,
    DER_IA5_STRING = 0x16,
    DER_UTC_TIME = 0x17,
    DER_GENERALIZED_TIME = 0x18,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_CONTEXT = 0xa0,     /* plus the number, explicitly tagged */
};

/* An element with what is written until der_end(); where it begins */
guint der_begin(GByteArray *der, uint8_t tag);
void der_end(GByteArray *der, guint begin);

void der_value(GByteArray *der, uint8_t tag, const void *data, size_t len);
void der_string(GByteArray *der, uint8_t tag, const char *text);
/* An integer that is not negative, its first byte the most significant one */
void der_integer(GByteArray *der, const uint8_t *bytes, size_t len);
void der_small_integer(GByteArray *der, uint32_t value);
/* An object identifier in dotted decimal */
void der_oid(GByteArray *der, const char *oid);

#endif
