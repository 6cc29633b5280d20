#!/bin/busybox sh
# First process of the test of storage steps: what the ramdisk's own init does before it has a network, then the test.

export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TERM=linux
sed '/^mount_pseudo$/,$d' /sbin/imaged-init > /functions
. /functions
mount_pseudo
find_devices
stty -F /dev/ttyS1 raw -echo
PYTHONPATH=/usr/lib/imaged-test:/usr/lib/imaged PYTHONUNBUFFERED=1 python3 -B -m storage /scenarios.json > /dev/ttyS1
sync
poweroff -f
