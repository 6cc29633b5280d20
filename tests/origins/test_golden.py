"""Captures of a real sshd's machine with every nasty file; what is killed on the way; what changes meanwhile."""

import os
import random
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from imaged.model.names import ImageRef
from imaged.store import seal
from imaged.store.images import Images
from imaged.store.manifest import Entry, Kind
from tests.origins.golden_client import GoldenClient, golden_client

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces, owners and devices need root"),
    pytest.mark.skipif(not shutil.which("sshd", path="/usr/sbin"), reason="openssh-server is not installed"),
    pytest.mark.skipif(not shutil.which("rsync"), reason="rsync is not installed"),
]
_HERE = Path(__file__).resolve().parents[2]
# What a capture leaves out of the fixture: mount points keep the mounted directory's attributes.
_MOUNT_POINTS = {"dev", "proc", "run", "usr", "data", "etc/shown-again", "boot"}
_LEFT_OUT = {
    "etc/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_ed25519_key.pub", "etc/hostname", "var/log/app/app.log",
    "var/log/odd\nname.log", "swapfile", "var/lib/dhcp/dhclient.leases", "var/cache/apt/pkgcache.bin", "tmp/scratch",
    "var/lib/systemd/random-seed", "root/.bash_history",
}  # fmt: skip


@pytest.fixture
def place() -> Iterator[Path]:
    """On a real filesystem: /tmp may be a tmpfs without the attributes that are tested."""
    path = Path("/var/tmp") / f"imaged-golden-{os.getpid()}"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def client(place: Path) -> Iterator[GoldenClient]:
    """With a tmpfs at /data, a part of /etc shown again below it, and a filesystem of its own at /boot."""
    tree = place / "golden"
    _nasty(tree)
    mounts = f"""
mount -t tmpfs tmpfs "$root/data"
echo other > "$root/data/file"
mkdir -p "$root/etc/shown-again"
mount --bind "$root/srv" "$root/etc/shown-again"
truncate -s 16M {place}/boot.img
mkfs.ext4 -q -F {place}/boot.img
loop=$(losetup -f --show {place}/boot.img)
cp -a "$loop" {place}/sda1
mount {place}/sda1 "$root/boot"
losetup -d "$loop"
echo kernel > "$root/boot/vmlinuz-6.1.0"
mkdir "$root/boot/grub"
echo config > "$root/boot/grub/grub.cfg"
echo map > "$root/boot/grub/device.map"
"""
    with golden_client(tree, place / "home", mounts) as client:
        yield client


@pytest.fixture
def state(place: Path) -> Path:
    (place / "imaged.yaml").write_text(f"address: 127.0.0.1\nstate: {place}/state\n")
    return place / "state"


def _nasty(tree: Path) -> None:
    """Everything that a file can be."""
    for name in ("srv/sub", "data", "boot", "etc/shown-again", "var/log/app", "var/lib/dhcp", "var/cache/apt", "tmp",
                 "var/lib/systemd", "root", "var/empty"):  # fmt: skip
        (tree / name).mkdir(parents=True, exist_ok=True)
    for name in _LEFT_OUT:
        if "ssh_host" not in name:
            (tree / name).write_text("of this machine only\n")
    (tree / "etc/fstab").write_text("/dev/sda2 / ext4 defaults 0 1\n/swapfile none swap sw 0 0\n")
    srv = os.fsencode(tree / "srv")
    for name in (b"new\nline", b"\xff\xfe not utf-8", "\u00e4\u00f6 \u4e2d".encode(), b"n" * 255, b"-dash",
                 b"back\\slash", b"star*[x]?", b"hash # sign", b" blanks ", b"tab\there", b"\\#012",
                 b"quote'\"$(x)`"):  # fmt: skip
        with open(srv + b"/" + name, "wb") as file:
            file.write(name)
    os.symlink(b"new\nline", srv + b"/link\nto newline")  # noqa: PTH211 - bytes
    files = {
        name: tree / "srv" / name for name in ("acl", "xattr", "capability", "suid", "nobody", "shut", "old", "late")
    }
    for path in files.values():
        path.write_text(path.name)
    run = subprocess.run
    run(["setfacl", "-m", "u:12345:rwx,g:54321:---", str(files["acl"])], check=True)
    run(["setfacl", "-d", "-m", "u:12345:rwx", str(tree / "srv/sub")], check=True)
    (tree / "srv/sub/inherits").write_text("a default ACL")
    os.setxattr(files["xattr"], "user.comment", b"\x00\xffbytes")
    os.setxattr(files["xattr"], "trusted.note", b"root only")
    run(["setcap", "cap_net_raw=ep", str(files["capability"])], check=True)
    files["suid"].chmod(0o6755)
    os.chown(files["nobody"], 4_000_000_000, 3_999_999_999)
    files["shut"].chmod(0)
    os.utime(files["old"], ns=(0, -86_400 * 10**9 * 365))
    os.utime(files["late"], ns=(0, 4_102_444_800 * 10**9 + 123_456_789))
    os.link(files["acl"], tree / "srv/sub/acl again")
    os.link(files["acl"], tree / "etc/acl-third")
    (tree / "srv/dangling").symlink_to("/nowhere/at/all")
    os.mkfifo(tree / "srv/fifo", 0o640)
    os.link(tree / "srv/fifo", tree / "srv/fifo-again")
    os.mknod(tree / "srv/character", stat.S_IFCHR | 0o600, os.makedev(10, 200))
    os.mknod(tree / "srv/block", stat.S_IFBLK | 0o660, os.makedev(259, 70_000))
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tree / "srv/socket"))
    with (tree / "srv/sparse").open("wb") as file:
        for offset in (0, 1 << 20, 64 << 20):
            file.seek(offset)
            file.write(b"data")
    (tree / "srv/shut-directory").mkdir(mode=0)
    (tree / "srv/sticky").mkdir()
    (tree / "srv/sticky").chmod(0o3777)
    (tree / "srv/large").write_bytes(random.Random(1).randbytes(6 << 20))
    os.utime(tree / "srv/sub", ns=(0, 10**18 + 1))


def _getimage(client: GoldenClient, state: Path, *more: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    argv = [*_imaged(state), "getimage", "127.0.0.1", "--image", "gold", *client.ssh, *more]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=_HERE)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def _imaged(state: Path) -> list[str]:
    return [sys.executable, "-m", "imaged", "--settings", str(state.parent / "imaged.yaml")]


def _images(state: Path) -> Images:
    return Images(state / "images")


def _captured(state: Path, number: int) -> dict[str, Entry]:
    images = _images(state)
    return {entry.path: entry for entry in images.entries(images.resolve(ImageRef.parse(f"gold@{number}")))}


def _of_client(client: GoldenClient) -> dict[str, Entry]:
    return {entry.path: entry for entry in seal.read_tree(client.root).entries}


def _agree(client: GoldenClient, image: dict[str, Entry]) -> None:
    """Everything that is not left out, in every attribute."""
    source = _of_client(client)
    expected = {path for path in source if path not in _LEFT_OUT}
    boot = {path for path in image if path.startswith("boot/")}
    assert set(image) - boot == expected
    for path in expected - _MOUNT_POINTS:
        assert image[path] == source[path], path


def test_everything_that_makes_a_file_is_kept_and_nothing_below_other_mounts(client: GoldenClient, state: Path) -> None:
    done = _getimage(client, state)
    assert "gold@1 is stable now" in done.stdout
    image = _captured(state, 1)
    _agree(client, image)
    assert {path for path in image if path.startswith("boot/")} == {
        "boot/grub", "boot/grub/grub.cfg", "boot/vmlinuz-6.1.0",
    }  # fmt: skip
    assert image["srv/sparse"].size == (64 << 20) + 4
    tree = _images(state).tree(_images(state).resolve(ImageRef.parse("gold")))
    assert (tree / "srv/sparse").stat().st_blocks < 1000  # of 512 bytes
    assert image["etc/acl-third"].links == 3
    for name in ("data", "etc/shown-again", "dev", "proc", "usr"):
        assert image[name].kind is Kind.DIRECTORY
        assert not any(path.startswith(f"{name}/") for path in image)
    layout = (state / "layouts/gold.yaml").read_text()
    assert "mount: /boot" in layout


def test_a_dry_run_says_what_is_left_out_and_why_and_makes_nothing(client: GoldenClient, state: Path) -> None:
    said = _getimage(client, state, "--dry-run", "--exclude", "/srv/large").stdout
    for words in (
        "Debian GNU/Linux 12 (bookworm)", "/boot                    ext4",
        "/data                    tmpfs      in memory", "a swap file (1)", "asked for (1)\n    /srv/large",
        "/etc/shown-again         ext4       shows files of / again",
        "identity: makes this machine itself", "There is no version yet: all",
    ):  # fmt: skip
        assert words in said
    assert not (state / "images/gold").exists()
    _getimage(client, state)
    (client.root / "srv/suid").chmod(0o755)
    (client.root / "srv/new").write_text("x")
    (client.root / "srv/old").unlink()
    (client.root / "srv/nobody").write_text("longer than before")
    said = _getimage(client, state, "--dry-run").stdout
    for words in ("Different from gold@1: ", "+ /srv/new", "~ /srv/suid", "~ /srv/nobody", "- /srv/old"):
        assert words in said
    assert [version.number for version in _images(state).versions("gold")] == [1]


def test_capturing_again_moves_what_changed_and_never_touches_the_version_before(
    client: GoldenClient, state: Path
) -> None:
    same = client.root / "srv/same size, same second"
    same.write_text("aaaa")
    os.utime(same, ns=(0, 10**18 + 1))
    _getimage(client, state)
    before = _captured(state, 1)
    same.write_text("bbbb")
    os.utime(same, ns=(0, 10**18 + 2))
    first = _images(state).tree(_images(state).resolve(ImageRef.parse("gold@1")))
    (client.root / "srv/suid").chmod(0o700)
    os.setxattr(client.root / "srv/xattr", "user.comment", b"other")
    os.utime(client.root / "srv/late", ns=(0, 10**18))
    os.chown(client.root / "srv/nobody", 7, 8)
    with (client.root / "srv/acl").open("a") as file:
        file.write("more")
    (client.root / "srv/-dash").unlink()
    (client.root / "srv/added").write_text("new")
    done = _getimage(client, state)
    assert "gold@2" in done.stdout
    _agree(client, _captured(state, 2))
    assert _entries(first) == before
    moved = re.findall(r"^Number of regular files transferred: (\d+)", _last_log(state), re.MULTILINE)
    assert int(moved[0]) <= 4  # of contents; of attributes alone rsync moves checksums at most
    second = _images(state).tree(_images(state).resolve(ImageRef.parse("gold@2")))
    assert (second / "srv/large").stat().st_ino == (first / "srv/large").stat().st_ino


def test_names_that_were_one_file_and_are_two_equal_ones_now_are_two(client: GoldenClient, state: Path) -> None:
    """Nothing about either of them changed, so rsync would link both to the one of the last version."""
    one, two = client.root / "srv/one", client.root / "srv/two"
    one.write_text("content")
    os.link(one, two)
    os.link(one, client.root / "srv/three")
    _getimage(client, state)
    assert _captured(state, 1)["srv/two"].links == 3
    before = (client.root / "srv").stat()
    subprocess.run(["cp", "-p", str(two), str(two) + "-new"], check=True)
    Path(str(two) + "-new").rename(two)
    os.utime(client.root / "srv", ns=(before.st_atime_ns, before.st_mtime_ns))
    _getimage(client, state)
    image = _captured(state, 2)
    assert (image["srv/one"].links, image["srv/two"].links) == (2, 1)
    _agree(client, image)


def _entries(tree: Path) -> dict[str, Entry]:
    return {entry.path: entry for entry in seal.read_tree(tree).entries}


def _last_log(state: Path) -> str:
    return max((state / "logs").glob("getimage-*"), key=lambda path: path.stat().st_mtime_ns).read_text()


def test_includes_win_over_what_is_left_out_otherwise(client: GoldenClient, state: Path, place: Path) -> None:
    rules = place / "rules"
    rules.write_text("# ours\n/srv/sub/\n\n+ /var/lib/dhcp/dhclient.leases\n")
    _getimage(
        client, state, "--exclude", "+ /var/log/app/app.log", "--exclude-file", str(rules), "--exclude", "large",
        "--no-default-excludes", "history", "--exclude", "/boot/", "--exclude-kind", "services",
    )  # fmt: skip
    image = _captured(state, 1)
    for path in ("var/log/app/app.log", "var/lib/dhcp/dhclient.leases", "root/.bash_history"):
        assert path in image
    for path in ("srv/sub", "srv/large", "var/log/odd\nname.log", "boot/vmlinuz-6.1.0"):
        assert path not in image


def test_subvolumes_of_btrfs_are_captured_mounted_or_not(place: Path, state: Path) -> None:
    if not shutil.which("mkfs.btrfs"):
        pytest.skip("btrfs-progs is not installed")
    tree = place / "golden"
    for name in ("srv", "home"):
        (tree / name).mkdir(parents=True)
    mounts = f"""
truncate -s 200M {place}/btrfs.img
mkfs.btrfs -q {place}/btrfs.img
loop=$(losetup -f --show {place}/btrfs.img)
cp -a "$loop" {place}/vda2
mkdir {place}/top
mount {place}/vda2 {place}/top
losetup -d "$loop"
cd {place}/top
for name in @srv @home @srv/nested "@srv/with blank" @srv/.snapshots @srv/.snapshots/1; do
  btrfs -q subvolume create "$name"
done
for name in @srv @home @srv/nested "@srv/with blank" @srv/.snapshots/1; do echo x > "$name/file"; done
cd /
mount -o subvol=/@srv {place}/vda2 "$root/srv"
mount -o subvol=/@home {place}/vda2 "$root/home"
umount {place}/top
"""
    with golden_client(tree, place / "home", mounts) as client:
        said = _getimage(client, state, "--dry-run").stdout
        assert "/srv/nested              btrfs" in said
        assert "/srv/.snapshots/1        btrfs      a snapshot" in said
        _getimage(client, state)
    below = {path for path in _captured(state, 1) if path.startswith(("srv/", "home/"))}
    assert below == {
        "home/file", "srv/file", "srv/nested", "srv/nested/file", "srv/with blank", "srv/with blank/file",
        "srv/.snapshots",
    }  # fmt: skip


@pytest.mark.parametrize("victim", ["sshd", "imaged", "rsync"])
@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_killed_goes_on_and_ends_equal(client: GoldenClient, state: Path, victim: str, seed: int) -> None:
    chance = random.Random(f"{victim}{seed}")
    many = client.root / "srv/many"
    many.mkdir()
    for number in range(3000):
        (many / f"{number:04}").write_bytes(chance.randbytes(chance.randrange(1, 30_000)))
    broken = [_killed(client, state, victim, chance.randrange(50, 2000)) for _ in range(4)]
    assert any(broken), "no kill came in time"
    number = broken.count(False) + 1  # what ended before its kill came is a version as well
    assert len(_images(state).versions("gold")) == number - 1
    done = _getimage(client, state)
    assert f"gold@{number}" in done.stdout
    _agree(client, _captured(state, number))
    assert {path.name for path in (state / f"images/gold/{number}").iterdir()} == {
        "tree", "manifest.mtree", "version.json", "capture.json",
    }  # fmt: skip


def _killed(client: GoldenClient, state: Path, victim: str, after: int) -> bool:
    """kill -9 once ``after`` paths are there. Whether the capture failed of it."""
    argv = [*_imaged(state), "getimage", "127.0.0.1", "--image", "gold", *client.ssh]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=_HERE) as capture:
        many = state / "images/gold/.resumable/tree/srv/many"
        _wait(lambda: capture.poll() is not None or _count(many) >= after)
        if victim == "sshd":
            client.cut()
        elif victim == "imaged":
            capture.kill()
        else:
            for pid in _descendants(capture.pid):
                if b"rsync" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]:
                    os.kill(pid, signal.SIGKILL)
                    break
        _, said = capture.communicate()
    if victim != "imaged" and capture.returncode:
        assert "Run the same command again" in said
        assert "Traceback" not in said
    return capture.returncode != 0


def _count(directory: Path) -> int:
    with suppress(FileNotFoundError):  # not there yet, or sealed and moved meanwhile
        return len(os.listdir(directory))  # noqa: PTH208
    return 0


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def _descendants(pid: int) -> list[int]:
    try:
        children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [each for child in children for each in (child, *_descendants(child))]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_what_is_told_to_end_says_so_and_goes_on_the_next_time(
    client: GoldenClient, state: Path, number: signal.Signals
) -> None:
    argv = [*_imaged(state), "getimage", "127.0.0.1", "--image", "gold", *client.ssh]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=_HERE) as capture:
        target = state / "images/gold/.resumable/tree/srv/large"
        _wait(lambda: capture.poll() is not None or target.exists())
        children = _descendants(capture.pid)
        capture.send_signal(number)
        _, said = capture.communicate()
    assert capture.returncode == 128 + number
    assert "Traceback" not in said
    assert "imaged: " in said
    assert not [pid for pid in children if Path(f"/proc/{pid}/exe").exists() and _is_ours(pid)]
    assert _images(state).versions("gold") == ()
    assert "goes on" in _getimage(client, state).stderr
    _agree(client, _captured(state, 1))


def _is_ours(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() in ("rsync", "ssh") and os.kill(pid, 0) is None
    except (OSError, ProcessLookupError):
        return False


def test_what_a_disk_has_damaged_in_the_last_version_is_taken_again(client: GoldenClient, state: Path) -> None:
    """Size and time are those of the golden client, so rsync sees nothing to do."""
    _getimage(client, state)
    tree = _images(state).tree(_images(state).versions("gold")[0])
    for name in ("srv/large", "etc/acl-third"):  # one with other names
        status = (tree / name).stat()
        with (tree / name).open("r+b") as file:
            file.write(b"\0")
        os.utime(tree / name, ns=(status.st_atime_ns, status.st_mtime_ns))
    done = _getimage(client, state)
    assert "again: damaged in gold@1" in done.stderr
    assert "/srv/large" in done.stderr
    assert "/etc/acl-third" in done.stderr
    _agree(client, _captured(state, 2))
    assert seal.read_tree(_images(state).tree(_images(state).versions("gold")[1])).entries == tuple(
        _captured(state, 2).values()
    )


def test_a_file_that_grows_meanwhile_is_said_and_taken_again(client: GoldenClient, state: Path) -> None:
    growing = client.root / "srv/growing"
    writer = subprocess.Popen(
        ["sh", "-c", 'while :; do echo "one more line" >> "$1"; sleep 0.01; done', "sh", str(growing)]
    )
    try:
        done = _getimage(client, state)
    finally:
        writer.kill()
        writer.wait()
    assert "were still changing on the golden client" in done.stderr
    assert "/srv/growing" in done.stderr
    assert "changed while captured: >f" in _last_log(state)
    assert "srv/growing" in _captured(state, 1)


def test_a_file_that_changed_once_is_taken_again_and_nobody_is_bothered(client: GoldenClient, state: Path) -> None:
    """Between the first pass and the comparison: when the first pass reports its end, the file changes."""
    changed = client.root / "srv/large"
    argv = [*_imaged(state), "getimage", "127.0.0.1", "--image", "gold", *client.ssh]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=_HERE) as capture:
        target = state / "images/gold/.resumable/tree/srv/large"
        _wait(lambda: capture.poll() is not None or target.exists())
        changed.write_bytes(b"shorter")
        _, errors = capture.communicate()
    assert capture.returncode == 0, errors
    assert "still changing" not in errors
    _agree(client, _captured(state, 1))


def test_a_full_disk_publishes_nothing_and_goes_on_when_there_is_room(client: GoldenClient, state: Path) -> None:
    images = state / "images"
    images.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(images)], check=True)
    try:
        done = _getimage(client, state, check=False)
        assert done.returncode != 0
        assert "No space left on device" in done.stderr
        assert "Make room on this server" in done.stderr
        assert _images(state).versions("gold") == ()
        subprocess.run(["mount", "-o", "remount,size=400m", str(images)], check=True)
        assert "gold@1" in _getimage(client, state).stdout
        _agree(client, _captured(state, 1))
    finally:
        subprocess.run(["umount", "-l", str(images)], check=True)


def test_a_client_without_rsync(place: Path, state: Path) -> None:
    with golden_client(place / "golden", place / "home", 'mount --bind /dev/null "$root/usr/bin/rsync"') as client:
        done = _getimage(client, state, check=False)
    assert "rsync is not installed there" in done.stderr
    assert done.returncode == 3


def test_refusals(client: GoldenClient, state: Path, place: Path) -> None:
    def said(*more: str, host: str = "127.0.0.1", ssh: list[str] | None = None) -> str:
        options = client.ssh if ssh is None else ssh
        argv = [*_imaged(state), "getimage", host, "--image", "gold", *options, *more]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=_HERE, stdin=subprocess.DEVNULL)
        assert done.returncode not in (0, 1)
        assert "Traceback" not in done.stderr
        return done.stderr

    assert "Is the name spelled right?" in said(host="no-such-host.invalid")
    plain = [each if each != "root" else "plain" for each in client.ssh]
    assert "--sudo where that user may use sudo" in said(ssh=plain)
    assert "NOPASSWD" in said(ssh=[*plain, "--sudo"])
    strange = [each for each in client.ssh if "known" not in each] + ["--ssh-option=UserKnownHostsFile=/dev/null"]
    assert "compare its host key" in said(ssh=strange)
    key = (place / "home/key.pub").read_text()
    (place / "home/other").write_text(f"[127.0.0.1]:{client.port} {key}")
    changed = [each for each in client.ssh if "known" not in each]
    assert "installed anew" in said(ssh=[*changed, f"--ssh-option=UserKnownHostsFile={place}/home/other"])
    assert "Does sshd run there?" in said(ssh=["--ssh-port", "1", "--ssh-option=BatchMode=yes"])
    no_key = [each for each in client.ssh if "IdentityFile" not in each] + ["--ssh-option=IdentityFile=/dev/null"]
    assert "Let your key log in there" in said(ssh=no_key)
    assert "is not a host" in said(host="root@-oProxyCommand=true", ssh=[])
    assert "is no pattern" in said("--exclude", "/")
    assert "is no option of ssh" in said("--ssh-option", "Compression")
    with _images(state).working("gold"):
        assert "is being made by process" in said()
