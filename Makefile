# Every task of the project; `make` alone lists them. Runs on Debian 12, as root where a target says so.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# Debian's own interpreter, for its parted and pyudev: the very modules that travel in the boot ramdisk.
PYTHON := /usr/bin/python3
VENV := .venv
BIN := $(VENV)/bin
export IMAGED_CACHE ?= /var/cache/imaged
DEMO := $(IMAGED_CACHE)/demo
DEMO_SETTINGS := $(DEMO)/imaged.yaml
IMAGED := $(BIN)/imaged --settings $(DEMO_SETTINGS)
# Releases that the long matrix installs.
STORAGE := debian-11 debian-12 debian-13

# What the server needs, what rehearsals need, what the tests talk to.
PACKAGES := python3 python3-venv python3-parted python3-pyudev rsync mmdebstrap debian-archive-keyring zstd cpio \
    qemu-system-x86 qemu-utils ipxe ipxe-qemu ovmf iproute2 openssh-client e2fsprogs fdisk dosfstools
TEST_PACKAGES := acl attr atftp bind9-utils btrfs-progs busybox bzip2 chromium createrepo-c curl dhcpcd5 dnf dnsmasq-base dropbear-bin gpg grub-common ifupdown isc-dhcp-client isc-dhcp-relay isc-dhcp-server kea-admin kea-dhcp4-server libarchive-tools \
    libatomic1 libcap2-bin lvm2 netplan.io network-manager nftables openipmi openssh-server openssl postgresql prometheus rpm skopeo squashfs-tools swtpm systemd tftp-hpa udhcpc xfsprogs xz-utils zypper

ARM_PACKAGES := qemu-system-arm qemu-efi-aarch64 qemu-user-static binfmt-support arch-test

.PHONY: help
help:  ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: install $(DEMO)/image.stamp ramdisk  ## Build an image, network-boot an empty virtual machine, install it (root)
	$(IMAGED) rehearse demo01 --image debian-12 --ssh-key $(DEMO)/key --log-dir $(DEMO)/logs

.PHONY: demo-update
demo-update: install $(DEMO)/image.stamp ramdisk  ## Two nodes: edit an image, update, find and repair drift, go back (root)
	$(IMAGED) rehearse demo01 --count 2 --image debian-12 --update --ssh-key $(DEMO)/key --log-dir $(DEMO)/logs

# The machines run beside the other tests: neither keeps two cores busy alone. The demo's kernel is the image's own; the tests
# of the ramdisk take the one of Debian's package.
.PHONY: test
test: install $(DEMO)/image.stamp ramdisk  ## Every test, whole installs in QEMU included (root, under 30 minutes)
	$(IMAGED) mkramdisk --kernel debian --output $(DEMO)/debian-kernel
	@export IMAGED_VM_STATE=$(DEMO); trap 'kill $$(jobs -p) 2>/dev/null; wait' EXIT; trap 'exit 130' INT TERM; \
	$(BIN)/python -m pytest -ra -p no:cacheprovider tests/vm > $(DEMO)/machines.log 2>&1 & machines=$$!; \
	echo "The virtual machines' own log: $(DEMO)/machines.log"; \
	$(BIN)/python -m pytest -ra --ignore=tests/vm; units=$$?; \
	wait $$machines; code=$$?; trap - EXIT; \
	cat $(DEMO)/machines.log; exit $$(( units ? units : code ))

.PHONY: check
check: $(VENV)/installed  ## Lint, types, import contracts and the tests that need no root and no VM (a minute)
	$(BIN)/python -m pytest -q -m "not vm and not clients and not browser"

.PHONY: vm
vm: install $(DEMO)/image.stamp ramdisk  ## The long matrix: firmwares, disks, NICs, power cuts (root, about two hours)
	IMAGED_VM_STATE=$(DEMO) IMAGED_VM=all $(BIN)/python -m pytest -v tests/vm

# Whole installs by layout. The table is kept as each one ends, so that a run may be cut short or be of some (pytest -k).
.PHONY: test-matrix
test-matrix: install $(DEMO)/image.stamp $(STORAGE:%=$(DEMO)/%-storage.stamp) ramdisk  ## Every layout on every firmware, in docs/matrix.md (root, hours)
	IMAGED_VM_STATE=$(DEMO) IMAGED_VM=all $(BIN)/python -m pytest -v tests/vm/test_layouts.py --matrix docs/matrix.md

# By emulation throughout, the building too.
.PHONY: test-arm64
test-arm64: install $(DEMO)/debian-12-arm64.stamp  ## Whole installs on an emulated ARM machine (root, hours)
	$(IMAGED) mkramdisk --arch aarch64
	IMAGED_VM_STATE=$(DEMO) IMAGED_VM=all $(BIN)/python -m pytest -v tests/vm/test_arm64.py

.PHONY: bench
bench: install $(DEMO)/image.stamp ramdisk  ## The figures in bench/RESULTS.md (root)
	missed=0; \
	for each in seal ramdisk plan disks transfer update; do $(BIN)/python bench/$$each.py --state $(DEMO) || missed=1; done; \
	for each in monitor nodes page dhcp storm tftp httpd rsync floor; do $(BIN)/python bench/$$each.py || missed=1; done; \
	exit $$missed

.PHONY: install
install: $(VENV)/installed  ## Install Debian packages and the Python environment that are missing (root)

.PHONY: packages
packages:
	@missing=$$(for each in $(PACKAGES) $(TEST_PACKAGES); do \
	    dpkg-query -W -f '$${Status}' $$each 2>/dev/null | grep -q 'ok installed' || echo $$each; done); \
	if [ -n "$$missing" ]; then \
	    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing; \
	fi

$(VENV)/installed: setup.cfg pyproject.toml | packages
	$(PYTHON) -m venv --clear $(VENV)
	ln -s /usr/lib/python3/dist-packages/{parted,_ped*.so,pyudev} $(VENV)/lib/python3*/site-packages/
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

$(DEMO)/key:
	mkdir -p $(DEMO)
	ssh-keygen -q -t ed25519 -N '' -C imaged-demo -f $@

$(DEMO_SETTINGS):
	mkdir -p $(DEMO)
	printf 'address: 127.0.0.1\nstate: %s\n' $(DEMO) > $@

$(DEMO)/image.stamp: images/debian-12.yaml $(wildcard imaged/planning/build*.py) imaged/planning/clean.py | install $(DEMO)/key $(DEMO_SETTINGS)
	$(IMAGED) buildimage images/debian-12.yaml --root-key $(DEMO)/key.pub
	touch $@

$(DEMO)/debian-%-storage.stamp: images/debian-%-storage.yaml tests/vm/few_drivers.sh $(wildcard imaged/planning/build*.py) imaged/planning/clean.py | install $(DEMO)/key $(DEMO_SETTINGS)
	$(IMAGED) buildimage $< --root-key $(DEMO)/key.pub
	$(IMAGED) enter debian-$*-storage --seal --channel stable --message "few drivers" -- sh -s < tests/vm/few_drivers.sh
	touch $@

$(DEMO)/debian-12-arm64.stamp: images/debian-12-arm64.yaml | install $(DEMO)/key $(DEMO_SETTINGS)
	apt-get install -y -q --no-install-recommends $(ARM_PACKAGES)
	mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
	update-binfmts --enable qemu-aarch64
	$(IMAGED) buildimage $< --root-key $(DEMO)/key.pub
	touch $@

.PHONY: ramdisk
ramdisk: $(DEMO)/image.stamp
	$(IMAGED) mkramdisk --kernel image:debian-12

.PHONY: golden
golden: $(VENV)/installed  ## Write the golden files of the tests anew; review the diff
	UPDATE_GOLDEN=1 $(BIN)/python -m pytest -q tests/planning tests/cli

.PHONY: clean
clean:  ## Remove the Python environment and everything cached
	rm -rf $(VENV) build *.egg-info $(IMAGED_CACHE)
