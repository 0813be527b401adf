// SPDX-License-Identifier: GPL-2.0-only
/*
 * The serial port of a Linux guest, and what is in the text that comes out.
 */
#include <ctype.h>
#include <linux/serial_reg.h>
#include <regex.h>

#include "kselftest.h"
#include "ktap.h"
#include "kvm_util.h"
#include "linux_guest.h"

static void print_char(struct linux_guest *guest, char c)
{
	char *line = guest->console + guest->line_start;

	if (c == '\r')
		return;
	if (guest->console_len >= LINUX_GUEST_CONSOLE_SIZE - 1) {
		guest->console_lost++;
		return;
	}
	if (c == '\n')
		c = '\0';
	else if (!isprint(c) && c != '\t')
		c = '?';
	guest->console[guest->console_len++] = c;
	if (c)
		return;
	guest->line_start = guest->console_len;
	if (guest->line)
		guest->line(guest, line);
}

/* A transmitter that is always empty, no receiver and no interrupts. */
void linux_guest_uart_write(struct linux_guest *guest, u16 reg, u8 value)
{
	struct linux_guest_uart *uart = &guest->uart;
	bool divisor = uart->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_TX:
		if (divisor)
			uart->dll = value;
		else
			print_char(guest, value);
		break;
	case UART_IER:
		if (divisor)
			uart->dlm = value;
		else
			uart->ier = value & 0xf;
		break;
	case UART_FCR:
		uart->fcr = value;
		break;
	case UART_LCR:
		uart->lcr = value;
		break;
	case UART_MCR:
		uart->mcr = value;
		break;
	case UART_SCR:
		uart->scr = value;
		break;
	}
}

u8 linux_guest_uart_read(struct linux_guest *guest, u16 reg)
{
	struct linux_guest_uart *uart = &guest->uart;
	bool divisor = uart->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_RX:
		return divisor ? uart->dll : 0;
	case UART_IER:
		return divisor ? uart->dlm : uart->ier;
	case UART_IIR:
		return UART_IIR_NO_INT | (uart->fcr & UART_FCR_ENABLE_FIFO ? 0xc0 : 0);
	case UART_LCR:
		return uart->lcr;
	case UART_MCR:
		return uart->mcr;
	case UART_LSR:
		return UART_LSR_TEMT | UART_LSR_THRE;
	case UART_MSR:
		/* The driver looks for its own outputs to see if there is a UART. */
		if (!(uart->mcr & UART_MCR_LOOP))
			return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
		return (uart->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
		       (uart->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
		       (uart->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
		       (uart->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0);
	default:
		return uart->scr;
	}
}

const char *linux_guest_next_line(struct linux_guest *guest, const char *line)
{
	line = line ? line + strlen(line) + 1 : guest->console;

	return line < guest->console + guest->console_len ? line : NULL;
}

const char *linux_guest_find(struct linux_guest *guest, const char *text)
{
	const char *line = NULL;

	while ((line = linux_guest_next_line(guest, line))) {
		if (strstr(line, text))
			return line;
	}
	return NULL;
}

int linux_guest_count(struct linux_guest *guest, const char *text)
{
	const char *line = NULL;
	int nr = 0;

	while ((line = linux_guest_next_line(guest, line)))
		nr += !!strstr(line, text);
	return nr;
}

const char *linux_guest_splat(struct linux_guest *guest)
{
	static const char * const splats[] = {
#define SPLAT(regex)	regex,
#include "kernel_splats.h"
#undef SPLAT
	};
	const char *line, *first = NULL;
	regex_t regex;
	int i;

	for (i = 0; i < ARRAY_SIZE(splats); i++) {
		TEST_ASSERT(!regcomp(&regex, splats[i], REG_EXTENDED | REG_NOSUB),
			    "'%s' is no regular expression", splats[i]);
		line = NULL;
		while ((line = linux_guest_next_line(guest, line)) && (!first || line < first)) {
			if (!regexec(&regex, line, 0, NULL, 0))
				first = line;
		}
		regfree(&regex);
	}
	return first;
}

/*
 * A suite starts with "# Subtest: NAME", indented once; its cases are indented
 * alike, what is indented more are parameters of a case, and the result of the
 * suite is indented less.  Anything else is some other message of the kernel.
 */
struct linux_guest_ktap linux_guest_ktap(struct linux_guest *guest, const char *suite)
{
	static const char header[] = "# Subtest: ";
	struct linux_guest_ktap ktap = {};
	const char *line = NULL, *text;
	struct ktap_result result;
	bool within = false;
	int suite_indent = 0;

	while ((line = linux_guest_next_line(guest, line))) {
		if (!within) {
			text = line + strspn(line, " ");
			within = !strncmp(text, header, strlen(header)) &&
				 !strcmp(text + strlen(header), suite);
			if (within)
				/* No end of the suite is a failure. */
				ktap = (struct linux_guest_ktap) { LINUX_GUEST_KTAP_FAILED };
			suite_indent = text - line;
			continue;
		}
		if (!ktap_parse_result(line, &result) || result.indent > suite_indent)
			continue;
		if (result.indent == suite_indent) {
			ktap.nr_skipped += result.ok && result.skipped;
			ktap.nr_passed += result.ok && !result.skipped;
			ktap.nr_failed += !result.ok;
		} else if (result.name_len == strlen(suite) &&
			   !strncmp(result.name, suite, result.name_len)) {
			within = false;
			if (result.ok && !ktap.nr_failed)
				ktap.status = LINUX_GUEST_KTAP_PASSED;
		}
	}
	return ktap;
}

void linux_guest_print_console(struct linux_guest *guest, int nr_lines)
{
	const char *line = NULL;
	int skip = -nr_lines;

	while ((line = linux_guest_next_line(guest, line)))
		skip++;
	while ((line = linux_guest_next_line(guest, line))) {
		if (skip-- <= 0)
			ksft_print_msg("console: %s\n", line);
	}
	if (guest->console_lost)
		ksft_print_msg("console: and %zu bytes more\n", guest->console_lost);
}
