#!/bin/sh
# What udhcpc does with a lease: address, routes (RFC 3442 before option 3), name servers, MTU, host name.

netmask_to_prefix() { # busybox gives $mask as a prefix length already; older ones give $subnet only
    local bits=0 octet
    for octet in $(echo "$1" | tr . ' '); do
        while [ "$octet" -gt 0 ]; do
            bits=$((bits + octet % 2))
            octet=$((octet / 2))
        done
    done
    echo "$bits"
}

case "$1" in
deconfig)
    ip -4 address flush dev "$interface"
    ip link set dev "$interface" up
    ;;
bound | renew)
    [ -n "$mtu" ] && ip link set dev "$interface" mtu "$mtu"
    # replace, not flush and add: the server may be reading from us over this address
    ip -4 address replace "$ip/${mask:-$(netmask_to_prefix "$subnet")}" ${broadcast:+broadcast "$broadcast"} \
        valid_lft "$lease" preferred_lft "$lease" dev "$interface"
    if [ -n "$staticroutes" ]; then
        set -- $staticroutes
        while [ $# -ge 2 ]; do
            case "$2" in
            0.0.0.0) ip -4 route replace "$1" dev "$interface" scope link ;;
            *) ip -4 route replace "$1" via "$2" dev "$interface" ;;
            esac
            shift 2
        done
    else
        for gateway in $router; do
            ip -4 route replace default via "$gateway" dev "$interface"
            break
        done
    fi
    : > /etc/resolv.conf.new
    [ -n "$domain" ] && echo "search $domain" >> /etc/resolv.conf.new
    for server in $dns; do
        echo "nameserver $server" >> /etc/resolv.conf.new
    done
    mv /etc/resolv.conf.new /etc/resolv.conf
    [ -n "$hostname" ] && hostname "$hostname"
    ;;
esac
exit 0
