"""From a probe's output to a capture: what is kept, what is left out and why, rsync's command lines, a layout."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from attrs import evolve

from imaged.model.capture import Block, Golden, GoldenFacts, Mounted, Space, Swap
from imaged.model.errors import BadInput
from imaged.model.size import GIB
from imaged.model.stack import Filesystem
from imaged.planning.capture import Kept, Wishes, plan
from imaged.planning.capture_btrfs import subvolumes
from imaged.planning.capture_daemon import script
from imaged.planning.capture_layout import draft
from imaged.planning.capture_probe import PROBE, parse
from imaged.planning.capture_rsync import (
    Change,
    Verdict,
    change,
    compare_argv,
    hiding,
    probe_argv,
    transfer_argv,
    verdict,
)
from imaged.planning.excludes import ALWAYS, DEFAULT, REASONS, Kind, excludes
from imaged.planning.layout import read
from imaged.planning.rsync_filter import admin_rule, admin_rules, escape, exceptions, takes

_DATA = Path(__file__).parents[1] / "data/probes"
_NAMES = ("debian-12", "rhel-9-lvm", "opensuse-btrfs", "busybox")


def _facts(name: str) -> GoldenFacts:
    return parse((_DATA / f"{name}.txt").read_text(encoding="utf-8"))


def test_what_a_probe_of_debian_says() -> None:
    facts = _facts("debian-12")
    assert (facts.hostname, facts.arch, facts.firmware, facts.uid) == ("deb12", "x86_64", "uefi", 0)
    assert facts.os_release["PRETTY_NAME"] == "Debian GNU/Linux 12 (bookworm)"
    assert facts.python == "3.11.2"
    assert facts.kernels == ("6.1.0-26-amd64", "6.1.0-28-amd64")
    assert "/boot/efi/EFI/debian" in facts.boot_files
    assert facts.swaps == (
        Swap("/dev/nvme0n1p3", 999420 * 1024, False), Swap("/var/swap file", 2097148 * 1024, True),
        Swap("/swap.img", 0, True),
    )  # fmt: skip
    assert facts.space["/srv/big data"] == Space(976762584 * 1024, 419430400 * 1024, 1200000)
    assert facts.features["/"].startswith("has_journal ext_attr")
    root = next(mount for mount in facts.mounts if mount.at == "/")
    assert root == Mounted(28, "259:2", "/", "/", "ext4", "/dev/nvme0n1p2", "rw,relatime")
    assert [block.name for block in facts.blocks if block.kind == "disk"] == ["nvme0n1", "sda", "sdb"]


def test_what_a_probe_without_lsblk_says() -> None:
    facts = _facts("busybox")
    assert facts.blocks == (
        Block("sda", "8:0", "disk", 20 << 30, rotational=True, model="QEMU HARDDISK"),
        Block("sda1", "8:1", "part", 300 << 20, ("sda",), "vfat", "boot"),
        Block("sda2", "8:2", "part", 2 << 30, ("sda",), "swap"),
        Block("sda3", "8:3", "part", 37132288 * 512, ("sda",), "ext4", "root"),
    )
    assert facts.python == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "It said nothing"),
        ("bash: sh: command not found\n", "command not found"),
        ("=imaged-probe 1\n\n=arch\n x86_64\n", "not whole"),
        ("=imaged-probe 1\n\n=mountinfo\n 28 1 nonsense\n\n=end\n", "no line of mountinfo"),
    ],
)
def test_half_a_probe_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadInput) as error:
        parse(text)
    assert said in str(error.value)


def test_a_login_shell_may_greet_and_content_cannot_be_taken_for_a_heading() -> None:
    text = "Welcome!\n" + (_DATA / "busybox.txt").read_text().replace("\n=fstab\n", "\n=fstab\n =uid\n  7\n")
    facts = parse(text)
    assert facts.uid == 0
    assert facts.fstab == "=uid\n 7\n"


def test_names_with_blanks_newlines_and_other_bytes() -> None:
    line = "5 1 8:2 / /a\\040b\\012c\\134d\udcff rw - ext4 /dev/sda2 rw"
    facts = parse(f"=imaged-probe 1\n\n=mountinfo\n {line}\n\n=end\n")
    assert facts.mounts[0].at == "/a b\nc\\d\udcff"


_KEPT = {
    "debian-12": ["/", "/boot/efi", "/srv/big data"],
    "rhel-9-lvm": ["/", "/boot", "/home", "/var/log/audit"],
    "opensuse-btrfs": [
        "/", "/.snapshots", "/boot/efi", "/boot/grub2/x86_64-efi", "/home", "/srv", "/var", "/var/lib/machines",
    ],
    "busybox": ["/", "/boot"],
}  # fmt: skip
_LEFT_OUT = {
    "debian-12": {
        "/home": "on another machine",
        "/net": "mounted on demand",
        "/opt/app/data": "shows files of / again",
        "/snap/core/1": "a container's or a package's own view",
        "/media/stick": "a place for what comes and goes",
        "/var/lib/docker/overlay2/abc/merged": "a container's or a package's own view",
        "/proc": "the kernel's own",
        "/proc/sys/fs/binfmt_misc": "below /proc",
        "/run": "in memory",
    },
    "rhel-9-lvm": {"/tmp": "in memory", "/tmp/again": "below /tmp"},
    "opensuse-btrfs": {
        "/opt/www": "shows files of /srv again",
        "/opt/nested": "",
        "/var/.snapshots/7/snapshot": "a snapshot",
    },
    "busybox": {"/proc": "the kernel's own", "/sys": "the kernel's own"},
}


@pytest.mark.parametrize("name", _NAMES)
def test_which_filesystems_are_captured(name: str) -> None:
    made = plan(_facts(name), Wishes())
    left = {each.at: each.reason for each in made.left_out}
    wanted = sorted(_KEPT[name] + (["/opt/nested"] if name == "opensuse-btrfs" else []), key=lambda at: at.split("/"))
    assert [kept.at for kept in made.kept] == wanted
    assert {at: left.get(at, "") for at in _LEFT_OUT[name]} == _LEFT_OUT[name]


def test_what_a_capture_leaves_out_comes_in_this_order() -> None:
    made = plan(_facts("debian-12"), Wishes(rules=("+ /var/log/app/keep/this", "- /opt/*.iso")))
    order = [
        "- /home/*", "- /proc/*", "- /var/swap file", "- /swap.img", "+ /var/log/app/keep/this", "- /opt/*.iso",
        "- /etc/machine-id", "+ /var/log/**/", "- /var/log/**",
    ]  # fmt: skip
    assert [rule for rule in made.rules if rule in order] == order
    assert made.why["/swap.img"] == "a swap file"
    assert made.why["/etc/machine-id"] == f"identity: {REASONS[Kind.IDENTITY]}"


def test_kinds_can_be_taken_but_never_what_the_kernel_shows() -> None:
    made = plan(_facts("busybox"), Wishes(kinds=frozenset()))
    assert "- /proc/*" in made.rules
    assert "- /etc/machine-id" not in made.rules


def test_a_mount_that_the_admin_excludes_is_not_named() -> None:
    made = plan(_facts("debian-12"), Wishes(rules=("/srv/big data/",)))
    assert [kept.at for kept in made.kept] == ["/", "/boot/efi"]
    assert ("/srv/big data", "asked for") in [(each.at, each.reason) for each in made.left_out]
    with pytest.raises(BadInput):
        plan(_facts("debian-12"), Wishes(rules=("/",)))


def test_a_client_that_shows_no_root_is_captured_with_a_warning() -> None:
    facts = parse("=imaged-probe 1\n\n=end\n")
    made = plan(facts, Wishes())
    assert [kept.at for kept in made.kept] == ["/"]
    assert len(made.warnings) == 1


_MATCHES = [
    ("/etc/hostname", "/etc/hostname", True), ("/etc/hostname", "/x/etc/hostname", False),
    ("hostname", "/a/hostname", True),
    ("etc/hostname", "/a/etc/hostname", True), ("/tmp/*", "/tmp/a", True), ("/tmp/*", "/tmp", False),
    ("/tmp/*", "/tmp/a/b", True), ("/var/log/**", "/var/log/a/b", True), ("/**/lost+found", "/a/b/lost+found", True),
    ("/**/lost+found", "/lost+found", False), ("*.o", "/src/a.o", True), ("/dir/", "/dir", True),
    ("/a/***", "/a", True),
    ("/a/***", "/a/b", True), ("/a?c", "/abc", True), ("/a?c", "/a/c", False), ("/[a-c]x", "/bx", True),
    ("/[!a-c]x", "/bx", False), ("/a\\*b", "/a*b", True), ("/a\\*b", "/axb", False), ("/a\\b", "/a\\b", True),
    ("/x*", "/x\ny", True),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "path", "hit"), _MATCHES)
def test_patterns_mean_what_they_mean_to_rsync(pattern: str, path: str, hit: bool) -> None:
    assert takes((f"- {pattern}",), path) is not hit


def test_the_first_rule_decides_and_a_file_is_no_directory() -> None:
    assert takes(("+ /a/b", "- /a/*"), "/a/b")
    assert not takes(("- /a/*", "+ /a/b"), "/a/b")
    assert takes(("- /a/",), "/a", directory=False)


@pytest.mark.parametrize("path", ["/plain", "/star*", "/back\\slash", "/both\\*[x]?", "/new\nline", "/\udcff"])
def test_an_escaped_name_means_that_path_alone(path: str) -> None:
    assert not takes((f"- {escape(path)}",), path)
    assert takes((f"- {escape(path)}",), path + "x")


def test_an_exception_opens_the_way_to_itself_only() -> None:
    own, default = ("+ /var/cache/apt/archives/partial/x", "- /y"), ("- /var/cache/*", "- /tmp/*")
    rules = (*own, *exceptions(own, default), *default)
    assert [path for path in ("/var/cache/apt/archives/partial/x", "/var/cache/apt/pkg", "/var/cache/man", "/tmp/a",
                              "/var/cache/apt/archives/partial/z") if takes(rules, path)] == [
        "/var/cache/apt/archives/partial/x"]  # fmt: skip


def test_an_admins_file_of_rules() -> None:
    text = "# comment\n; another\n\n/media/*\n+ /var/lib/nfs/statd/sm\n- *.iso\r\n"
    assert admin_rules(text, where="f") == ("- /media/*", "+ /var/lib/nfs/statd/sm", "- *.iso")
    for bad in ("", "/", "+ ", "a\0b"):
        with pytest.raises(BadInput):
            admin_rule(bad)


def test_every_exclude_is_anchored_and_has_a_reason() -> None:
    for rule in excludes(frozenset(Kind)):
        assert rule.pattern.startswith("/")
        assert not rule.pattern.endswith("/*/")
        assert REASONS[rule.kind]
    assert DEFAULT > ALWAYS


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("/etc/machine-id", False), ("/etc/ssh/ssh_host_rsa_key", False), ("/etc/ssh/sshd_config", True),
        ("/var/lib/dhcp", True), ("/var/lib/dhcp/dhclient.leases", False), ("/var/lib/systemd/random-seed", False),
        ("/root/.ssh/authorized_keys", True), ("/root/.bash_history", False), ("/home/a/.zsh_history", False),
        ("/etc/krb5.keytab", True), ("/var/cache/apt/archives/a.deb", False), ("/boot/grub/grub.cfg", True),
        ("/etc/fstab", True), ("/usr/lib/modules/6.1/modules.dep", True), ("/mnt/disk", True), ("/mnt/disk/a", False),
    ],
)  # fmt: skip
def test_what_is_left_out_unasked(path: str, taken: bool) -> None:
    assert takes([rule.rule for rule in excludes(DEFAULT)], path) is taken


def test_logs_go_and_their_directories_stay() -> None:
    rules = [rule.rule for rule in excludes(DEFAULT)]
    assert takes(rules, "/var/log/mysql/archive")
    assert not takes(rules, "/var/log/mysql/error.log", directory=False)
    assert not takes(rules, "/var/log/journal/0123abcd")


_SSH = (
    "ssh -oProxyJump=gw -p2222 -ladmin -oControlMaster=auto -oControlPath=/c/%C -oControlPersist=60 "
    "-oServerAliveInterval=15 -oServerAliveCountMax=4 -oConnectTimeout=30"
)


def test_command_lines_by_ssh() -> None:
    golden = Golden("fe80::1", "admin", 2222, ("ProxyJump=gw",), sudo=True)
    made = plan(_facts("debian-12"), Wishes())
    assert probe_argv(golden, "/c/%C") == (*_SSH.split(), "--", "fe80::1", "sudo -n sh -s")
    argv = transfer_argv(
        golden,
        made,
        control="/c/%C",
        rules="/r",
        into="/w/tree",
        bases=("/w/basis.1/tree", "/v/1/tree"),
        partial="/w/p",
    )
    assert argv == (
        "setpriv", "--pdeathsig", "TERM", "rsync", "-aHAXSxRs", "--numeric-ids", "--modify-window=-1", "--from0",
        "--timeout=600", f"--rsh={_SSH}", "--rsync-path=sudo -n rsync", "--filter=merge /r",
        "--link-dest=/w/basis.1/tree", "--link-dest=/v/1/tree", "--partial-dir=/w/p", "--stats",
        "--no-human-readable", "--out-format=%i %n%L", "[fe80::1]:/", ":/boot/efi", ":/srv/big data", "/w/tree/",
    )  # fmt: skip
    assert not any("--inplace" in each or "--delete" in each for each in argv)


def test_command_lines_by_daemon() -> None:
    golden = Golden("node1", port=8730, daemon=True)
    argv = compare_argv(golden, plan(_facts("busybox"), Wishes()), control="", rules="/r", against="/t", hidden=True)
    assert argv[4:] == (
        "-aHAXSxRs", "--numeric-ids", "--modify-window=-1", "--from0", "--timeout=600", "--port=8730",
        "--filter=merge /r", "--dry-run",
        "--delete", "--stats", "--no-human-readable", "--out-format=%i %n%L", "-vv", "node1::golden/", "::golden/boot",
        "/t/",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "path", "what"),
    [
        (">f+++++++++ etc/passwd", "etc/passwd", "new"), (">f.st...... a b", "a b", "content"),
        (".d..t...... etc/", "etc/", "attributes"), (".f...p..... x", "x", "attributes"),
        ("cL+++++++++ bin -> usr/bin", "bin -> usr/bin", "new"), ("*deleting   gone", "gone", "gone"),
        ("hf+++++++++ a => b", "a => b", "new"), (">f..t....x. y", "y", "content"),
    ],
)  # fmt: skip
def test_lines_of_rsync(line: str, path: str, what: str) -> None:
    found = change(line)
    assert isinstance(found, Change)
    assert (found.path, found.what) == (path, what)


@pytest.mark.parametrize("line", ["", "sending incremental file list", ".f          etc/passwd", "Number of files: 3"])
def test_lines_that_tell_of_no_change(line: str) -> None:
    assert change(line) is None


def test_what_rsync_hides() -> None:
    line = "[sender] hiding file /etc/machine-id because of pattern /etc/machine-id"
    assert hiding(line) == ("etc/machine-id", "/etc/machine-id")


@pytest.mark.parametrize(
    ("code", "said", "meaning"),
    [
        (0, "", Verdict.WHOLE), (24, "file has vanished", Verdict.MOVING), (23, "denied", Verdict.PARTIAL),
        (11, "", Verdict.LOCAL), (12, "rsync: write failed: No space left on device (28)", Verdict.LOCAL),
        (12, "", Verdict.BROKEN), (255, "", Verdict.BROKEN), (-9, "", Verdict.BROKEN), (30, "", Verdict.BROKEN),
        (5, "@ERROR", Verdict.REFUSED), (127, "", Verdict.REFUSED),
    ],
)  # fmt: skip
def test_exit_codes(code: int, said: str, meaning: Verdict) -> None:
    assert verdict(code, said) is meaning


_PARTITIONS = {
    "debian-12": [("bios", ""), ("esp", "/boot/efi"), ("swap", ""), ("root", "/")],
    "rhel-9-lvm": [("bios", ""), ("pv-rhel", ""), ("boot", "/boot")],
    "opensuse-btrfs": [("bios", ""), ("esp", "/boot/efi"), ("root", "/")],
    "busybox": [("bios", ""), ("swap", ""), ("root", "/"), ("boot", "/boot")],
}  # fmt: skip


@pytest.mark.parametrize("name", _NAMES)
def test_a_drafted_layout_is_a_layout(name: str) -> None:
    facts = _facts(name)
    layout = read(yaml.safe_load(draft(facts, plan(facts, Wishes()), "gold", {})), "gold")
    assert [(part.id, part.mount) for disk in layout.disks for part in disk.partitions] == _PARTITIONS[name]


def test_the_layout_of_btrfs_has_its_subvolumes() -> None:
    """SUSE's root is mounted without a name: it is the filesystem's default. What is not mounted lies in its parent."""
    facts = _facts("opensuse-btrfs")
    held = {"/": GIB, "/var": 2 * GIB, "/home": GIB}
    root = read(yaml.safe_load(draft(facts, plan(facts, Wishes()), "gold", held)), "gold").disks[0].partitions[-1]
    snapshot = "@/.snapshots/1/snapshot"
    assert root.btrfs and root.btrfs.default == snapshot
    assert [(each.path, each.mount, each.nodatacow) for each in root.btrfs.subvolumes] == [
        (snapshot, "/", False), ("@/.snapshots", "/.snapshots", False),
        ("@/boot/grub2/x86_64-efi", "/boot/grub2/x86_64-efi", False), ("@/home", "/home", False),
        (f"{snapshot}/opt/nested", "", False), ("@/srv", "/srv", False), ("@/var", "/var", True),
        ("@/var/lib/machines", "", False),
    ]  # fmt: skip
    assert 4 * GIB < root.size.min < 5 * GIB, "all of them lie there"


@pytest.mark.parametrize(
    ("volume", "line", "expected"),
    [
        ("/@", "UUID=1 / btrfs subvol=@ 0 0\n", {"subvolumes": [{"path": "@", "mount": "/"}]}),
        ("/@", "UUID=1 / btrfs subvolid=256 0 0\n", {"subvolumes": [{"path": "@", "mount": "/"}]}),
        ("/@", "UUID=1 / btrfs defaults 0 0\n", {"default": "@", "subvolumes": [{"path": "@", "mount": "/"}]}),
        ("/", "", {}),
        ("/a b", "", {}),
    ],
)
def test_which_subvolume_is_the_default(volume: str, line: str, expected: dict[str, Any]) -> None:
    facts = evolve(_facts("opensuse-btrfs"), fstab=line)
    assert subvolumes(facts, [Kept("/", "btrfs", "/dev/sda1", volume=volume.strip("/"))]) == expected


def test_the_layout_of_lvm_has_its_volumes_and_takes_least_sizes_from_what_is_used() -> None:
    facts = _facts("rhel-9-lvm")
    text = draft(facts, plan(facts, Wishes()), "gold", {"/": 3 << 30})
    assert "# Its LVM is drafted as it was there" in text
    (group,) = read(yaml.safe_load(text), "gold").lvm
    assert (group.vg, group.devices) == ("rhel", ("os.pv-rhel",))
    assert [(volume.id, volume.mount, volume.swap) for volume in group.lvs] == [
        ("swap", "", True), ("root", "/", False), ("home", "/home", False), ("audit", "/var/log/audit", False),
    ]  # fmt: skip
    root = group.lvs[1]
    assert root.fs is Filesystem.XFS
    assert 3 << 30 < root.size.min < 4 << 30  # what the image holds, not what df told of the golden client


def test_volumes_without_names_become_plain_partitions_and_a_comment_says_so() -> None:
    facts = _facts("rhel-9-lvm")
    nameless = evolve(facts, blocks=tuple(evolve(block, alias="") for block in facts.blocks))
    text = draft(nameless, plan(nameless, Wishes()), "gold", {})
    assert "# A layout cannot say its LVM: what lay there is plain partitions here." in text
    mounts = {part.mount for part in read(yaml.safe_load(text), "gold").disks[0].partitions}
    assert mounts == {"", "/", "/boot", "/home", "/var/log/audit"}


def test_the_daemons_script_admits_one_address() -> None:
    from ipaddress import ip_address

    text = script(ip_address("10.1.2.3"), 9000, 600)
    for words in ("server=10.1.2.3 port=9000 timeout=600", "hosts allow = $server", "hosts deny = *", "read only = yes",
                  "use chroot = yes", PROBE):  # fmt: skip
        assert words in text


def test_of_a_users_own_filesystem_not_even_the_mount_point_is_asked_for() -> None:
    facts = _facts("busybox")
    mounts = (*facts.mounts, Mounted(9, "0:70", "/", "/home/a/remote", "fuse.sshfs", "b:"),
              Mounted(10, "0:71", "/", "/home/a/box*", "fuse.box", "box"))  # fmt: skip
    made = plan(evolve(facts, mounts=mounts), Wishes())
    assert {"- /home/a/remote", "- /home/a/box\\*"} <= set(made.rules)
    reasons = {each.at: each.reason for each in made.left_out}
    assert (reasons["/home/a/remote"], reasons["/home/a/box*"]) == ("on another machine", "a user's own")


def test_the_larger_view_of_a_filesystem_is_kept_wherever_it_is_mounted() -> None:
    mounts = (
        Mounted(1, "8:1", "/", "/", "ext4", "/dev/sda1"), Mounted(2, "8:2", "/a", "/b", "ext4", "/dev/sda2"),
        Mounted(3, "8:2", "/", "/z", "ext4", "/dev/sda2"), Mounted(4, "0:9", "/", "/b/c", "tmpfs", "tmpfs"),
    )  # fmt: skip
    facts = evolve(_facts("busybox"), mounts=mounts)
    made = plan(facts, Wishes())
    assert [kept.at for kept in made.kept] == ["/", "/z"]
    assert [(each.at, each.reason) for each in made.left_out] == [
        ("/b", "shows files of /z again"), ("/b/c", "below /b"),
    ]  # fmt: skip
