// SPDX-License-Identifier: GPL-2.0-only
/* kvm_coco.h with the headers of this system: one layout in C, C++, 32 and 64 bits. */
#include "kvm_coco.h"

#ifndef __cplusplus
#define static_assert _Static_assert
#endif
#define AT(type, field, offset) \
	static_assert(__builtin_offsetof(struct type, field) == (offset), #type "." #field)
#define SIZE(type, size) static_assert(sizeof(struct type) == (size), #type)

AT(kvm_coco_get_quote, ret, 0);
AT(kvm_coco_get_quote, flags, 4);
AT(kvm_coco_get_quote, gpa, 8);
AT(kvm_coco_get_quote, size, 16);
SIZE(kvm_coco_get_quote, 24);

AT(kvm_coco_setup_event_notify, ret, 0);
AT(kvm_coco_setup_event_notify, flags, 4);
AT(kvm_coco_setup_event_notify, vector, 8);
AT(kvm_coco_setup_event_notify, reserved, 12);
SIZE(kvm_coco_setup_event_notify, 16);

AT(kvm_coco_fatal_error, flags, 0);
AT(kvm_coco_fatal_error, reserved, 4);
AT(kvm_coco_fatal_error, error_code, 8);
AT(kvm_coco_fatal_error, gpa, 16);
AT(kvm_coco_fatal_error, message, 24);
SIZE(kvm_coco_fatal_error, 96);

AT(kvm_coco_map_gpa_range, ret, 0);
AT(kvm_coco_map_gpa_range, flags, 4);
AT(kvm_coco_map_gpa_range, gpa, 8);
AT(kvm_coco_map_gpa_range, size, 16);
AT(kvm_coco_map_gpa_range, done, 24);
AT(kvm_coco_map_gpa_range, page_shift, 32);
AT(kvm_coco_map_gpa_range, reserved, 36);
SIZE(kvm_coco_map_gpa_range, 40);

AT(kvm_coco_migration_control, ret, 0);
AT(kvm_coco_migration_control, flags, 4);
AT(kvm_coco_migration_control, value, 8);
SIZE(kvm_coco_migration_control, 16);
