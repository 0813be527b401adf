// SPDX-License-Identifier: GPL-2.0-only
/*
 * Store or check the variable with which OVMF consents to live migration, through
 * efivarfs, where a file's contents are the attributes and then the value.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define DIR	"/sys/firmware/efi/efivars"
#define FILE	DIR "/SevLiveMigrationEnabled-0cf29b71-9e51-433a-a3b7-81f3ab16b875"

/* Non-volatile, for boot and for run time: as OVMF does. */
static const unsigned char contents[] = { 7, 0, 0, 0, 1 };

static int fail(const char *what, const char *why)
{
	printf("%s: %s\n", what, why);
	return 1;
}

int main(int argc, char *argv[])
{
	unsigned char found[sizeof(contents) + 1];
	ssize_t len;
	int fd;

	if (mount("efivarfs", DIR, "efivarfs", 0, NULL) && errno != EBUSY)
		return fail("mount", strerror(errno));
	if (argc == 2 && !strcmp(argv[1], "store")) {
		if (!access(FILE, F_OK))
			return fail("store", "the variable is there already");
		fd = open(FILE, O_WRONLY | O_CREAT, 0644);
		if (fd < 0 || write(fd, contents, sizeof(contents)) != sizeof(contents))
			return fail("store", strerror(errno));
		return close(fd) ? fail("close", strerror(errno)) : 0;
	}
	fd = open(FILE, O_RDONLY);
	len = fd < 0 ? -1 : read(fd, found, sizeof(found));
	if (len < 0)
		return fail("read", strerror(errno));
	if (len != sizeof(contents) || memcmp(found, contents, sizeof(contents)))
		return fail("check", "not what was stored");
	return 0;
}
