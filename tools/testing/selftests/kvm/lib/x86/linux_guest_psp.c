// SPDX-License-Identifier: GPL-2.0-only
/*
 * Send and receive the private memory of an SEV guest, see linux_guest_psp.h.
 */
#include <endian.h>
#include <sys/ioctl.h>

#include "kvm_util.h"
#include "linux_guest_psp.h"
#include "sev.h"

/* Of an emulated PSP; needs CONFIG_FW_CFG_SYSFS. */
#define AMD_CERTS	"/sys/firmware/qemu_fw_cfg/by_name/etc/amd-psp/ask_ark.cert/raw"

static const struct {
	u32 status;
	const char *name;
	int err;
} statuses[] = {
	{ SEV_RET_INVALID_PLATFORM_STATE, "INVALID_PLATFORM_STATE", -EIO },
	{ SEV_RET_INVALID_GUEST_STATE, "INVALID_GUEST_STATE", -EIO },
	{ SEV_RET_INVALID_LEN, "INVALID_LENGTH", -EIO },
	{ SEV_RET_INVALID_CERTIFICATE, "INVALID_CERTIFICATE", -EKEYREJECTED },
	{ SEV_RET_POLICY_FAILURE, "POLICY_FAILURE", -EACCES },
	{ SEV_RET_INACTIVE, "INACTIVE", -EIO },
	{ SEV_RET_INVALID_ADDRESS, "INVALID_ADDRESS", -EIO },
	{ SEV_RET_BAD_SIGNATURE, "BAD_SIGNATURE", -EKEYREJECTED },
	{ SEV_RET_BAD_MEASUREMENT, "BAD_MEASUREMENT", -EBADMSG },
	{ SEV_RET_UNSUPPORTED, "UNSUPPORTED", -EOPNOTSUPP },
	{ SEV_RET_INVALID_PARAM, "INVALID_PARAM", -EIO },
	{ SEV_RET_RESOURCE_LIMIT, "RESOURCE_LIMIT", -EIO },
};

const char *psp_status_name(u32 status)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(statuses); i++) {
		if (statuses[i].status == status)
			return statuses[i].name;
	}
	return "another status";
}

static int failed(struct linux_guest *guest, const char *name, int error, u32 status)
{
	int i;

	if (!status) {
		snprintf(guest->error, sizeof(guest->error), "%s: errno %d", name, error);
		return -EIO;
	}
	snprintf(guest->error, sizeof(guest->error), "%s: the PSP says 0x%x, %s", name, status,
		 psp_status_name(status));
	for (i = 0; i < ARRAY_SIZE(statuses); i++) {
		if (statuses[i].status == status)
			return statuses[i].err;
	}
	return -EIO;
}

int psp_command(struct linux_guest *guest, const char *name, u32 id, void *data)
{
	struct kvm_sev_cmd cmd = {
		.id = id,
		.data = (u64)data,
		.sev_fd = guest->vm->arch.sev_fd,
	};

	if (!ioctl(guest->vm->fd, KVM_MEMORY_ENCRYPT_OP, &cmd))
		return 0;
	return failed(guest, name, errno, cmd.error);
}

int psp_read_platform(struct linux_guest *guest, struct psp_platform *platform)
{
	struct sev_user_data_pdh_cert_export export = {
		.pdh_cert_address = (u64)platform->pdh,
		.pdh_cert_len = sizeof(platform->pdh),
		.cert_chain_address = (u64)platform->chain,
		.cert_chain_len = sizeof(platform->chain),
	};
	struct sev_issue_cmd cmd = {
		.cmd = SEV_PDH_CERT_EXPORT,
		.data = (u64)&export,
	};

	memset(platform, 0, sizeof(*platform));
	if (ioctl(guest->vm->arch.sev_fd, SEV_ISSUE_CMD, &cmd))
		return failed(guest, "PDH_CERT_EXPORT", errno, cmd.error);
	return 0;
}

int psp_api_version(struct linux_guest *guest, u8 *major, u8 *minor)
{
	struct sev_user_data_status status = {};
	struct sev_issue_cmd cmd = { .cmd = SEV_PLATFORM_STATUS, .data = (u64)&status };

	if (ioctl(guest->vm->arch.sev_fd, SEV_ISSUE_CMD, &cmd))
		return failed(guest, "PLATFORM_STATUS", errno, cmd.error);
	*major = status.api_major;
	*minor = status.api_minor;
	return 0;
}

bool psp_read_amd_certs(struct psp_platform *platform)
{
	int fd = open(AMD_CERTS, O_RDONLY);
	ssize_t size;

	if (fd < 0)
		return false;
	size = read(fd, platform->amd_certs, sizeof(platform->amd_certs));
	close(fd);
	platform->amd_certs_size = htole32(max_t(ssize_t, size, 0));
	return size > 0;
}

int psp_send_start(struct linux_guest *guest, const struct psp_platform *to,
		   struct psp_session *session)
{
	struct psp_platform from;
	struct kvm_sev_send_start start = {
		.pdh_cert_uaddr = (u64)to->pdh,
		.pdh_cert_len = sizeof(to->pdh),
		.plat_certs_uaddr = (u64)to->chain,
		.plat_certs_len = sizeof(to->chain),
		/* KVM wants some, even if the PSP looks at them for some policies only. */
		.amd_certs_uaddr = (u64)to->amd_certs,
		.amd_certs_len = le32toh(to->amd_certs_size) ?: 1,
		.session_uaddr = (u64)session->session,
		.session_len = sizeof(session->session),
	};
	int err;

	if (start.amd_certs_len > sizeof(to->amd_certs)) {
		snprintf(guest->error, sizeof(guest->error), "certificates of %u bytes",
			 start.amd_certs_len);
		return -EKEYREJECTED;
	}
	err = psp_read_platform(guest, &from) ?:
	      psp_command(guest, "SEND_START", KVM_SEV_SEND_START, &start);
	if (err)
		return err;
	memcpy(session->pdh, from.pdh, sizeof(session->pdh));
	session->policy = htole32(start.policy);
	return 0;
}

int psp_send_page(struct linux_guest *guest, u64 gpa, struct psp_packet *packet)
{
	struct kvm_sev_send_update_data update = {
		.hdr_uaddr = (u64)packet->header,
		.hdr_len = sizeof(packet->header),
		.guest_uaddr = (u64)addr_gpa2hva(guest->vm, gpa),
		.guest_len = SZ_4K,
		.trans_uaddr = (u64)packet->data,
		.trans_len = sizeof(packet->data),
	};

	return psp_command(guest, "SEND_UPDATE_DATA", KVM_SEV_SEND_UPDATE_DATA, &update);
}

int psp_send_finish(struct linux_guest *guest)
{
	return psp_command(guest, "SEND_FINISH", KVM_SEV_SEND_FINISH, NULL);
}

int psp_send_cancel(struct linux_guest *guest)
{
	return psp_command(guest, "SEND_CANCEL", KVM_SEV_SEND_CANCEL, NULL);
}

int psp_receive_start(struct linux_guest *guest, const struct psp_session *session)
{
	struct kvm_sev_receive_start start = {
		.policy = le32toh(session->policy),
		.pdh_uaddr = (u64)session->pdh,
		.pdh_len = sizeof(session->pdh),
		.session_uaddr = (u64)session->session,
		.session_len = sizeof(session->session),
	};
	struct kvm_sev_guest_status status;
	int err;

	err = psp_command(guest, "RECEIVE_START", KVM_SEV_RECEIVE_START, &start);
	if (err == -EBADMSG)
		err = -EKEYREJECTED;
	if (err)
		return err;

	/* It is the PSP that says it: the sender may say anything. */
	err = psp_command(guest, "GUEST_STATUS", KVM_SEV_GUEST_STATUS, &status);
	if (!err && status.policy != guest->sev_policy) {
		snprintf(guest->error, sizeof(guest->error), "policy 0x%x, not 0x%x",
			 status.policy, guest->sev_policy);
		err = -EINVAL;
	}
	if (err)
		return err;

	/* The PSP writes to it. */
	sev_register_encrypted_memory(guest->vm, memslot2region(guest->vm, LINUX_GUEST_MEMSLOT));
	return 0;
}

int psp_receive_page(struct linux_guest *guest, u64 gpa, const struct psp_packet *packet)
{
	struct kvm_sev_receive_update_data update = {
		.hdr_uaddr = (u64)packet->header,
		.hdr_len = sizeof(packet->header),
		.guest_uaddr = (u64)addr_gpa2hva(guest->vm, gpa),
		.guest_len = SZ_4K,
		.trans_uaddr = (u64)packet->data,
		.trans_len = sizeof(packet->data),
	};

	return psp_command(guest, "RECEIVE_UPDATE_DATA", KVM_SEV_RECEIVE_UPDATE_DATA, &update);
}

int psp_receive_finish(struct linux_guest *guest)
{
	return psp_command(guest, "RECEIVE_FINISH", KVM_SEV_RECEIVE_FINISH, NULL);
}
