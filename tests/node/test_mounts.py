"""What is mounted below a root, and which of it belongs to the image."""

import pytest

from installer.node.mounts import read

FSTAB = b"# /old was on /dev/sda9\nUUID=1 / ext4 defaults 0 1\nUUID=2 /boot/efi vfat umask=077 0 1\n" \
    b"UUID=3 /srv\\040x xfs defaults 0 2\n/srv /bound none bind 0 0\nnas:/h /home nfs defaults 0 0\n"  # fmt: skip


def line(point: str, kind: str, inner: str = "/") -> bytes:
    return f"36 35 8:1 {inner} {point} rw,relatime shared:1 - {kind} /dev/x rw\n".encode()


@pytest.mark.parametrize(
    ("mounted", "path", "foreign", "coarse"),
    [
        ([("/", "ext4", "/")], b"etc", False, False),
        ([("/boot/efi", "vfat", "/")], b"boot/efi/EFI", False, True),
        ([("/srv\\040x", "xfs", "/")], b"srv x/a", False, False),
        ([("/home", "nfs", "/")], b"home", True, False),
        ([("/home", "nfs", "/")], b"homely", False, False),
        ([("/proc", "proc", "/")], b"proc/1", True, False),
        ([("/bound", "ext4", "/srv")], b"bound/a", True, False),  # a bind mount, though fstab has it
        ([("/mnt", "ext4", "/")], b"mnt/a", True, False),  # by hand
        ([("/old", "ext4", "/")], b"old", True, False),  # only a comment has it
        ([("/srv\\040x", "nfs", "/"), ("/srv\\040x", "xfs", "/")], b"srv x", False, False),  # the last one is seen
        ([("/srv\\040x", "btrfs", "/@srv")], b"srv x", False, False),  # a subvolume
    ],
)
def test_whose_a_mount_is(mounted: list[tuple[str, str, str]], path: bytes, foreign: bool, coarse: bool) -> None:
    found = read(b"".join(line(*each) for each in mounted), FSTAB)
    assert (bool(found.reason(path)), found.is_coarse(path)) == (foreign, coarse)


def test_below_another_root_and_lines_that_are_none() -> None:
    found = read(b"rubbish\n" + line("/n/proc", "proc") + line("/proc", "proc") + line("/n", "ext4"), b"", b"/n/")
    assert found.foreign == {b"proc": "proc is mounted at /proc"}
