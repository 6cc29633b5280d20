#!/bin/busybox sh
# The ramdisk's first process (rdinit=): devices, network, then the agent; when the agent fails, a way in for a person.
# It never reboots a machine by itself. The shell being process 1, its wait also reaps the orphans of others.
# With imaged.appliance= the machine is a virtual one that reads a disk for the server, and nothing else.

export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TERM=linux
NETWORK_WAIT=300 # seconds; a switch port without PortFast forwards nothing for the first 30

uptime_seconds() { # with one digit
    read -r up _ < /proc/uptime
    echo "${up%?}"
}

consoles() { # every console of the kernel's command line, as /dev/NAME
    local name
    for name in $(cat /sys/class/tty/console/active 2> /dev/null); do
        case "$name" in
        tty0) echo /dev/tty1 ;;
        *) echo "/dev/$name" ;;
        esac
    done
}

say() {
    local console
    for console in $(consoles); do
        printf 'imaged: %s\n' "$*" > "$console" 2> /dev/null
    done
}

parameter() { # the value of a word NAME=value on the kernel's command line
    local word
    for word in $(cat /proc/cmdline); do
        case "$word" in
        "$1="*) echo "${word#*=}" ;;
        esac
    done
}

mount_pseudo() {
    mount -t proc -o nosuid,nodev,noexec proc /proc
    mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
    mount -t devtmpfs -o nosuid,mode=0755 devtmpfs /dev 2> /dev/null # some kernels have done it
    mkdir -p /dev/pts /dev/shm
    mount -t devpts -o nosuid,noexec,gid=5,mode=0620 devpts /dev/pts
    mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs /dev/shm
    mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs /run
    mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs /tmp
    ln -sfn /proc/self/fd /dev/fd
    if [ -d /sys/firmware/efi ]; then
        modprobe -q efivarfs
        mount -t efivarfs -o nosuid,nodev,noexec efivarfs /sys/firmware/efi/efivars
    fi
}

find_devices() {
    mkdir -p /run/udev
    /lib/systemd/systemd-udevd --daemon --resolve-names=never
    udevadm trigger --type=subsystems --action=add
    # Terminals and such are most of the devices and have nothing to wait for: the kernel made their nodes.
    udevadm trigger --type=devices --action=add --subsystem-nomatch=tty --subsystem-nomatch=vc \
        --subsystem-nomatch=mem --subsystem-nomatch=memory --subsystem-nomatch=bdi --subsystem-nomatch=workqueue
    udevadm settle --timeout=60 || say "some devices are still not ready; going on"
}

cards() { # every network interface that is a device, not a tunnel or lo
    local path
    for path in /sys/class/net/*; do
        [ -e "$path/device" ] && echo "${path##*/}"
    done
}

card_of() { # the interface with this MAC
    local card
    for card in $(cards); do
        [ "$(cat "/sys/class/net/$card/address")" = "$1" ] && echo "$card" && return 0
    done
    return 1
}

named_card() { # of ip=, by name, or by MAC with dashes
    [ -e "/sys/class/net/$wanted_device/device" ] && echo "$wanted_device" && return
    card_of "$(echo "$wanted_device" | tr A-F- a-f:)"
}

described() {
    local card driver
    for card in $(cards); do
        driver=$(readlink "/sys/class/net/$card/device/driver")
        echo "$card $(cat "/sys/class/net/$card/address") ${driver##*/};"
    done
}

wait_until() { # SECONDS COMMAND...: until it succeeds; fails when the time is up
    local deadline=$(($(uptime_whole) + $1))
    shift
    until "$@"; do
        [ "$(uptime_whole)" -lt "$deadline" ] || return 1
        sleep 1
    done
}

uptime_whole() {
    read -r up _ < /proc/uptime
    echo "${up%%.*}"
}

has_carrier() {
    [ "$(cat "/sys/class/net/$1/carrier" 2> /dev/null)" = 1 ]
}

has_any_carrier() {
    local card
    for card in $chosen; do
        has_carrier "$card" && return 0
    done
    return 1
}

any_card() {
    [ -n "$(cards)" ]
}

ask_dhcp() { # INTERFACE: leaves udhcpc in the background to renew the lease
    udhcpc -i "$1" -n -t 4 -T 3 -A 1 -O 26 -O 121 -V imaged -s /usr/lib/imaged-udhcpc -p "/run/udhcpc.$1.pid" \
        > "/run/udhcpc.$1.log" 2>&1
}

address_of() {
    ip -4 -o address show dev "$1" scope global | sed -n 's/.* inet \([0-9.]*\).*/\1/p'
}

choose_cards() { # the card we were booted by, or every card when that is not known
    local bootif mac
    chosen=''
    bootif=$(parameter BOOTIF)
    if [ -n "$bootif" ]; then
        mac=$(echo "${bootif#*-}" | tr A-F- a-f:)
        card_of "$mac" > /dev/null || say "waiting for the network card $mac"
        wait_until 30 card_of "$mac" > /dev/null && chosen=$(card_of "$mac") && return
        say "no network card has the address $mac (no driver for it?); trying all: $(described)"
    fi
    if [ -n "$wanted_device" ]; then
        wait_until 30 named_card > /dev/null && chosen=$(named_card) && return
        say "there is no network card $wanted_device; trying all: $(described)"
    fi
    wait_until 30 any_card && chosen=$(cards)
}

read_ip_parameter() { # the kernel's ip= (nfsroot.rst), fields apart: CLIENT:SERVER:GATEWAY:NETMASK:HOST:DEVICE:HOW:DNS0:DNS1
    local value
    value=$(parameter ip)
    case "$value" in
    *:*) ;;
    *) return ;; # ip=dhcp and its like: what we do anyway
    esac
    static_address=$(echo "$value" | cut -d: -f1)
    static_gateway=$(echo "$value" | cut -d: -f3)
    static_netmask=$(echo "$value" | cut -d: -f4)
    static_host=$(echo "$value" | cut -d: -f5)
    wanted_device=$(echo "$value" | cut -d: -f6)
    static_dns=$(echo "$value" | cut -d: -f8,9 | tr : ' ')
}

set_address() { # INTERFACE: the address of ip=
    local server
    ip -4 address replace "$static_address/${static_netmask:-255.255.255.0}" broadcast + dev "$1" || return 1
    [ -z "$static_gateway" ] || ip -4 route replace default via "$static_gateway" dev "$1"
    [ -z "$static_host" ] || hostname "$static_host"
    for server in $static_dns $(parameter nameserver); do
        echo "nameserver $server"
    done > /etc/resolv.conf
}

note_card() { # INTERFACE: for the agent, which knows it from BOOTIF= otherwise
    mkdir -p /run/imaged
    cat "/sys/class/net/$1/address" > /run/imaged/boot-mac
}

try_cards() { # succeeds with the first that gets an address; the others are told about once
    local card
    for card in $chosen; do
        has_carrier "$card" || continue
        note_card "$card"
        if [ -n "$static_address" ]; then
            set_address "$card" || continue
            say "network $card $static_address"
            return 0
        fi
        if ask_dhcp "$card"; then
            say "network $card $(address_of "$card")"
            return 0
        fi
        say "no answer to DHCP on $card at $(uptime_seconds) s; trying again"
        told=yes
    done
    [ -n "$told" ] || say "waiting for a link on $chosen"
    told=yes
    return 1
}

bring_up_network() {
    local card told=''
    read_ip_parameter
    choose_cards
    [ -n "$chosen" ] || { say "no network card found"; return 1; }
    ip link set dev lo up
    for card in $(cards); do
        ip link set dev "$card" up # all of them: the inventory tells which have a link
    done
    wait_until 3 has_any_carrier # the usual case, without a word on the console
    wait_until "$NETWORK_WAIT" try_cards && return 0
    say "no network after $NETWORK_WAIT s on" $chosen
    return 1
}

run_agent() {
    say "agent at $(uptime_seconds) s"
    PYTHONPATH=/usr/lib/imaged PYTHONUNBUFFERED=1 python3 -B -m "${1:-installer}"
}

open_ssh() {
    local card address
    [ -s /root/.ssh/authorized_keys ] || { say "no ssh: nobody's key was given"; return; }
    chmod 0700 /root /root/.ssh
    chmod 0600 /root/.ssh/authorized_keys
    pidof dropbear > /dev/null || # the agent opens it as soon as it knows the keys
        dropbear -R -s -j -k > /run/dropbear.log 2>&1 # -R host keys when first needed, -s no passwords, -j -k no forwarding
    for card in $(cards); do
        for address in $(address_of "$card"); do
            say "ssh root@$address"
        done
    done
}

stay() { # the exit code of an agent that did what it was to do, and leaves the machine to a person
    case "$1" in
    10) say "this machine stays in the ramdisk, as it was wished: reboot -f when you are done" ;;
    11)
        say "this machine is done; it beeps until somebody restarts it"
        while :; do
            for console in $(consoles); do
                printf '\a' > "$console" 2> /dev/null
            done
            sleep 5
        done &
        ;;
    *) return 1 ;;
    esac
}

open_shells() {
    local console
    for console in $(consoles); do
        # A session of its own, so that ^C works and the console is the shell's terminal.
        while :; do
            setsid -c sh -l < "$console" > "$console" 2>&1
            sleep 1
        done &
    done
}

mount_pseudo
hostname imaged-installer
say "init at $(uptime_seconds) s"
find_devices
if [ "$(parameter imaged.appliance)" = export ]; then
    # A virtual machine made to read one disk: no network, nobody to wait for.
    run_agent installer.appliance
    poweroff -f
fi
if bring_up_network; then
    run_agent
    code=$?
    if [ "$code" = 0 ] && [ -z "$(parameter imaged.rescue)" ]; then
        # The agent asked for the reboot; this is for a kernel that did not get round to it.
        sync
        sleep 10
        reboot -f
    fi
    [ "$code" = 0 ] || stay "$code" ||
        say "the agent ended with code $code at $(uptime_seconds) s; this machine stays as it is"
fi
open_ssh
open_shells
while :; do
    wait
    sleep 60
done
