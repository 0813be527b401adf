// SPDX-License-Identifier: GPL-2.0-only
/*
 * Read results in KTAP, see ktap.h.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ktap.h"

bool ktap_parse_result(const char *line, struct ktap_result *result)
{
	const char *end;
	char *name;

	result->indent = strspn(line, " ");
	line += result->indent;
	result->ok = strncmp(line, "not ", 4);
	if (!result->ok)
		line += 4;
	if (strncmp(line, "ok ", 3) || !isdigit(line[3]))
		return false;

	strtoul(line + 3, &name, 10);
	name += strspn(name, " -");
	end = strstr(name, " #");
	result->name = name;
	result->name_len = end ? end - name : strcspn(name, "\n");
	result->skipped = end && !strncasecmp(end, " # SKIP", 7);
	return true;
}
