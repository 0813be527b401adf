/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's Platform Security Processor: what its commands return
 */
#ifndef HW_MISC_AMD_PSP_STATUS_H
#define HW_MISC_AMD_PSP_STATUS_H

/* Of the APIs of SEV and of SNP */
#define API_MAJOR       1
#define API_MINOR       55
#define API_BUILD       1

enum {
    SUCCESS = 0x00,
    INVALID_PLATFORM_STATE = 0x01,
    INVALID_GUEST_STATE = 0x02,
    INVALID_CONFIG = 0x03,
    INVALID_LENGTH = 0x04,
    ALREADY_OWNED = 0x05,
    INVALID_CERTIFICATE = 0x06,
    POLICY_FAILURE = 0x07,
    INACTIVE = 0x08,
    INVALID_ADDRESS = 0x09,
    BAD_SIGNATURE = 0x0a,
    BAD_MEASUREMENT = 0x0b,
    ASID_OWNED = 0x0c,
    INVALID_ASID = 0x0d,
    WBINVD_REQUIRED = 0x0e,
    DF_FLUSH_REQUIRED = 0x0f,
    INVALID_GUEST = 0x10,
    INVALID_COMMAND = 0x11,
    ACTIVE = 0x12,
    HWERROR_PLATFORM = 0x13,
    UNSUPPORTED = 0x15,
    INVALID_PARAM = 0x16,
    RESOURCE_LIMIT = 0x17,
    SECURE_DATA_INVALID = 0x18,
    INVALID_PAGE_SIZE = 0x19,
    INVALID_PAGE_STATE = 0x1a,
    INVALID_PAGE_OWNER = 0x1c,
    AEAD_OFLOW = 0x1d,
    RMP_INIT_REQUIRED = 0x20,
    INVALID_KEY = 0x27,
};

#endif
