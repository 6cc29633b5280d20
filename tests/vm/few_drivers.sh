# For the images of the matrix (`make test-matrix`): an initramfs with what its machines have, instead of every driver.
# Debian's hooks start some fifteen thousand programs to make the whole one: half a minute on metal, twenty under emulation.
set -e
echo MODULES=list > /etc/initramfs-tools/conf.d/few-drivers
for module in virtio_pci virtio_blk virtio_net ahci sd_mod nvme ext4 btrfs crc32c_generic raid1 dm_mod dm_crypt; do
    echo $module
done >> /etc/initramfs-tools/modules
update-initramfs -u -k all
