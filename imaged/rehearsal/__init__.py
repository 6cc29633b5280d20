"""A node's install run in a VM: namespace, bridge, daemon and QEMU machines."""
