#!/bin/bash
# What goes into the boot ramdisk, from the toolset tree that dracut runs in. Read by dracut(8); see dracut.modules(7).

check() {
    return 255 # only when asked for by name
}

depends() {
    return 0 # nothing: dracut's own init, hooks and shell are not ours
}

installkernel() {
    # Network cards. Wireless is left out: no machine network-boots by it.
    hostonly='' instmods --silent =drivers/net/ethernet =drivers/net/phy =drivers/net/mdio =drivers/net/pcs
    hostonly='' instmods --silent virtio_net vmxnet3 hv_netvsc xen-netfront netvsc af_packet bonding 8021q
    hostonly='' instmods --silent usbnet cdc_ether cdc_ncm cdc_eem rndis_host r8152 ax88179_178a asix smsc75xx smsc95xx lan78xx

    # Disk controllers. drivers/pci/controller has Intel's VMD, behind which NVMe disks hide.
    hostonly='' instmods --silent =drivers/ata =drivers/nvme/host =drivers/message/fusion =drivers/mmc =drivers/ufs
    hostonly='' instmods --silent =drivers/scsi =drivers/pci/controller =drivers/usb/storage
    hostonly='' instmods --silent virtio_blk virtio_scsi xen-blkfront hv_storvsc loop nbd mtip32xx sd_mod sr_mod sg

    # What those stand on, a keyboard for the rescue shell, and entropy for host keys.
    hostonly='' instmods --silent =drivers/virtio =drivers/hv =drivers/usb/host =drivers/char/hw_random
    hostonly='' instmods --silent usbhid hid_generic atkbd i8042 efivarfs virtio_console

    hostonly='' instmods --silent ext4 xfs btrfs f2fs vfat isofs overlay squashfs nls_cp437 nls_ascii nls_iso8859-1 nls_utf8
    hostonly='' instmods --silent =drivers/md =drivers/char/tpm
    # dm-crypt and the filesystems ask for these by algorithm name when they are used: no dependency tells.
    hostonly='' instmods --silent crc32c crc32c_generic crc32c-intel xxhash_generic blake2b_generic sha256_generic \
        aes_generic aesni-intel xts cbc ecb essiv sha512_generic algif_skcipher algif_hash authenc cryptd
    return 0
}

install() {
    # Scripts bring their interpreter with them: take the place before dash does.
    inst_simple /bin/busybox
    ln -sf busybox "$initdir/bin/sh"

    _install_programs
    _install_udev
    _install_python
    _install_files
    _install_applets
}

_install_programs() {
    inst_multiple modprobe depmod insmod rmmod lsmod kmod ip ldconfig
    inst_multiple mount umount findmnt losetup lsblk blkid blkdiscard blockdev wipefs partx mkswap swapon swapoff swaplabel
    inst_multiple sfdisk sgdisk mke2fs mkfs.ext4 tune2fs resize2fs e2fsck dumpe2fs mkfs.vfat fsck.vfat fatlabel
    inst_multiple mkfs.btrfs btrfs mkfs.f2fs
    # Not the whole of xfsprogs: xfs_scrub alone brings 30 MB of libicu.
    inst_multiple mkfs.xfs xfs_repair
    inst_multiple mdadm dmsetup lvm cryptsetup kexec efibootmgr rsync tar zstd
    inst_multiple systemd-cryptenroll
    inst_libdir_file 'libtss2-*.so*'
    # As symbolic links, which is how lvm(8) knows what is wanted.
    local link
    for link in /sbin/pv* /sbin/vg* /sbin/lv*; do
        [[ "$(readlink "$link")" == lvm ]] && inst_multiple "$link"
    done
    inst_multiple dropbear dropbearkey dbclient
    inst_multiple /usr/lib/sftp-server # where dropbear looks for it; today's scp(1) wants it
    return 0
}

_install_udev() {
    inst_multiple udevadm
    inst_simple /lib/systemd/systemd-udevd
    inst_simple /lib/systemd/network/99-default.link # NIC names as the installed system will have them
    inst_simple /lib/systemd/network/73-usb-net-by-mac.link
    inst_multiple -o /lib/udev/ata_id /lib/udev/scsi_id /lib/udev/cdrom_id
    # Not 64-md-raid-assembly and 69-lvm: they would start arrays and volumes on disks that are about to be wiped.
    inst_rules 50-udev-default.rules 60-block.rules 60-cdrom_id.rules 60-persistent-storage.rules \
        60-persistent-storage-dm.rules 60-serial.rules 64-btrfs.rules 75-net-description.rules 80-drivers.rules \
        80-net-setup-link.rules 55-dm.rules 95-dm-notify.rules 56-lvm.rules 63-md-raid-arrays.rules
}

_install_python() {
    local stdlib=/usr/lib/python3.11 packages=/usr/lib/python3/dist-packages
    local -a modules objects
    mapfile -t modules < <(
        find "$stdlib" \
            '(' -name __pycache__ -o -name 'config-*' -o -name test -o -name tests -o -name idlelib -o -name lib2to3 \
            -o -name tkinter -o -name turtledemo -o -name ensurepip -o -name distutils -o -name pydoc_data \
            -o -name sqlite3 -o -name venv -o -name wsgiref -o -name xmlrpc -o -name unittest -o -name dbm ')' -prune -o \
            -type f -not -name '_sqlite3*' -not -name '_test*' -not -name 'xx*' -not -name '_codecs_*' \
            -not -name 'audioop*' -not -name 'ossaudiodev*' -not -name 'nis.*' -not -name 'turtle.py' -not -name 'cgi.py' \
            -not -name '_dbm*' -not -name '_gdbm*' -print
        find "$packages/parted" "$packages/pyudev" "$packages"/_ped*.so -name __pycache__ -prune -o -type f -print
    )
    inst_multiple python3 "${modules[@]}"
    # Extension modules are not executable in Debian, so dracut-install does not look for their libraries;
    # libudev is opened by name (ctypes).
    mapfile -t objects < <(printf '%s\n' "${modules[@]}" | grep '\.so$')
    inst_multiple $(ldd "${objects[@]}" | awk '/=> \//{print $3}' | sort -u)
    inst_libdir_file 'libudev.so.1*' 'libgcc_s.so.1'
    # Unchecked: nothing in a ramdisk edits sources, and dates that do not fit would recompile at every start.
    python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$initdir" -p / \
        "$initdir$stdlib" "$initdir$packages"
}

_install_files() {
    inst_simple "$moddir/imaged-init.sh" /sbin/imaged-init
    inst_simple "$moddir/udhcpc.sh" /usr/lib/imaged-udhcpc
    chmod 0755 "$initdir/sbin/imaged-init" "$initdir/usr/lib/imaged-udhcpc"
    inst_multiple /etc/mke2fs.conf /etc/lvm/lvm.conf
    mkdir -p "$initdir/etc/dropbear" "$initdir/usr/lib/imaged" "$initdir"/{proc,sys,dev,run,tmp,mnt,var}
    mkdir -p -m 0700 "$initdir/root"
    ln -sf ../run "$initdir/var/run"
    # No password opens this account: ssh by key only, and the console.
    echo 'root:*:0:0:root:/root:/bin/sh' > "$initdir/etc/passwd"
    echo '/bin/sh' > "$initdir/etc/shells"
    cp /etc/group "$initdir/etc/group"
    printf 'passwd: files\ngroup: files\nhosts: files dns\n' > "$initdir/etc/nsswitch.conf"
    printf '127.0.0.1 localhost\n::1 localhost\n' > "$initdir/etc/hosts"
    ln -sf /proc/self/mounts "$initdir/etc/mtab"
}

_install_applets() {
    local applet
    for applet in $(busybox --list); do
        [[ $applet == init || $applet == linuxrc ]] && continue # the kernel would start it if ours were missing
        [[ -e $initdir/usr/bin/$applet || -e $initdir/usr/sbin/$applet || -L $initdir/usr/bin/$applet ]] && continue
        ln -s busybox "$initdir/usr/bin/$applet"
    done
    return 0
}
