# SPDX-License-Identifier: GPL-2.0-only
# The machines and devices of our QEMU, which has no others: scripts/build/qemu.sh.

CONFIG_I440FX=y
CONFIG_Q35=y
CONFIG_HPET=y

# What the series emulates
CONFIG_AMD_IOMMU=y
CONFIG_AMD_PSP=y

# As a VMM, it starts guests with SEV.
CONFIG_SEV=y

# Memory that two engines share, for guests that migrate
CONFIG_IVSHMEM_DEVICE=y

# For the emulator's tests
CONFIG_EDU=y
CONFIG_ISA_DEBUG=y
CONFIG_WDT_IB700=y

# For guests, and for make host
CONFIG_PCIE_PORT=y
CONFIG_SERIAL_PCI=y
CONFIG_VGA_PCI=y
CONFIG_E1000_PCI=y
CONFIG_E1000E_PCI_EXPRESS=y
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_9P=y
CONFIG_VIRTIO_BALLOON=y
CONFIG_VIRTIO_BLK=y
CONFIG_VIRTIO_NET=y
CONFIG_VIRTIO_RNG=y
CONFIG_VIRTIO_SCSI=y
CONFIG_VIRTIO_SERIAL=y
