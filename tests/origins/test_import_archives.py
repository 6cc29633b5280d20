"""Archives and directories become trees exactly, and nothing in an archive reaches out of the tree."""

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from imaged.model.errors import BadInput, CommandFailed, ImagedError
from imaged.origins import importing, unpacking
from imaged.planning.importing import untar
from imaged.store.tree import Tree
from tests.origins.import_sources import BSD, GNU, Site, archive, entries, forged, make_root, member

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make such files"),
    pytest.mark.skipif(not shutil.which("busybox"), reason="needs busybox"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("source") / "root"
    make_root(at)
    return at


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize("packer", ["", "gzip", "bzip2", "xz", "zstd"])
def test_an_archive_of_gnu_tar_becomes_the_same_tree(root: Path, site: Site, tmp_path: Path, packer: str) -> None:
    imported = site.take(archive(root, tmp_path / "a.wrong-suffix", packer=packer))
    assert imported.kind == (f"tar archive, {packer}" if packer else "tar archive")
    assert imported.warnings == ()
    assert entries(site.tree) == entries(root)
    assert site.tree.stat().st_mtime_ns == root.stat().st_mtime_ns
    assert site.rest() == []
    assert (site.tree / "srv/sparse").stat().st_blocks < 1024, "holes stay holes"


def test_an_archive_of_bsdtar_becomes_the_same_tree(root: Path, site: Site, tmp_path: Path) -> None:
    if not shutil.which("bsdtar"):
        pytest.skip("bsdtar is not installed")
    site.take(archive(root, tmp_path / "a.tar", tool=BSD))
    assert entries(site.tree) == entries(root)


def test_old_archives_are_read(tmp_path: Path, site: Site) -> None:
    for name in ("etc", "usr"):
        (tmp_path / "old" / name).mkdir(parents=True)
    subprocess.run(("tar", "--format=v7", "-cf", tmp_path / "a", "-C", tmp_path / "old", "etc", "usr"), check=True)
    site.take(tmp_path / "a")
    assert sorted(entries(site.tree)) == ["etc", "usr"]


def test_a_directory_is_copied_exactly(root: Path, site: Site) -> None:
    imported = site.take(root)
    assert (imported.kind, imported.warnings) == ("directory", ())
    assert entries(site.tree) == entries(root)


def test_what_is_mounted_in_a_directory_is_not_taken_and_said(site: Site, tmp_path: Path) -> None:
    at = tmp_path / "root"
    points = [at / name for name in ("proc", "srv/a b")]
    for path in (at / "etc", at / "usr", *points):
        path.mkdir(parents=True)
    try:
        for point in points:
            subprocess.run(("mount", "-t", "tmpfs", "tmpfs", point), check=True)
            (point / "file").write_text("x")
        imported = site.take(at)
    finally:
        subprocess.run(("umount", *points), check=True)
    assert imported.warnings == ("/srv/a b is mounted in it and was not taken",)
    assert sorted(entries(site.tree)) == ["etc", "proc", "srv", "srv/a b", "usr"]


def test_a_squashfs_becomes_the_same_tree_but_for_what_it_cannot_hold(root: Path, site: Site, tmp_path: Path) -> None:
    if not shutil.which("mksquashfs"):
        pytest.skip("squashfs-tools is not installed")
    source = tmp_path / "copy"
    subprocess.run(("cp", "-a", root, source), check=True)
    subprocess.run(("setfacl", "-R", "-b", source), check=True)  # squashfs has no ACLs
    for path in [source, *source.rglob("*")]:  # and whole seconds
        os.utime(path, ns=(10**18, 10**18), follow_symlinks=False)
    done = subprocess.run(
        ("mksquashfs", source, tmp_path / "a", "-no-progress", "-quiet"), capture_output=True, check=True
    )
    assert done.returncode == 0
    assert site.take(tmp_path / "a").kind == "squashfs"
    assert entries(site.tree) == entries(source)
    assert site.rest() == []


@pytest.mark.parametrize("kind", ["systemimager", "nested"])
def test_a_root_below_single_directories_is_found(root: Path, site: Site, tmp_path: Path, kind: str) -> None:
    at = tmp_path / "top/build/rootfs"
    at.parent.mkdir(parents=True)
    subprocess.run(("cp", "-a", root, at), check=True)
    imported = site.take(archive(tmp_path / "top", tmp_path / "a"))
    assert imported.kind == "tar archive, the root in build/rootfs"
    assert entries(site.tree) == entries(root)


def test_an_image_of_systemimager_is_known(root: Path, site: Site, tmp_path: Path) -> None:
    at = tmp_path / "images/compute"
    at.parent.mkdir()
    subprocess.run(("cp", "-a", root, at), check=True)
    (at / "etc/systemimager/boot").mkdir(parents=True)
    (at / "etc/systemimager/autoinstallscript.conf").write_text("<config/>")
    imported = site.take(at)
    assert imported.kind == "SystemImager image"
    assert [note.partition(":")[0] for note in imported.notes] == [
        "/etc/systemimager/autoinstallscript.conf",
        "/etc/systemimager/boot",
    ]


def test_an_archive_in_an_archive_is_looked_into(root: Path, site: Site, tmp_path: Path) -> None:
    inner = archive(root, tmp_path / "rootfs.tar", packer="gzip")
    outer = archive(tmp_path, tmp_path / "outer", what=(inner.name,))
    assert site.take(outer).kind == "tar archive: tar archive, gzip"
    assert entries(site.tree) == entries(root)
    assert site.rest() == []


def test_what_is_wrong_in_an_inner_archive_is_told_by_the_names_that_people_know(site: Site, tmp_path: Path) -> None:
    (tmp_path / "outer").write_bytes(forged((member("inner.tar"), forged((member("etc/a"), "x"))[:1024].decode())))
    with pytest.raises(BadInput) as caught:
        site.take(tmp_path / "outer")
    assert caught.value.where == f"{tmp_path}/outer, inner.tar"


# --- what is not whole ------------------------------------------------------------------------------------------------


def _cut(part: float) -> Callable[[bytes], bytes]:
    return lambda whole: whole[: int(len(whole) * part) // 512 * 512]


@pytest.mark.parametrize("packer", ["", "gzip", "bzip2", "xz", "zstd"])
@pytest.mark.parametrize(
    "damage",
    [_cut(0.3), _cut(0.9), lambda whole: whole[:-1024], lambda whole: whole[:5000] + b"#" * 5000 + whole[10000:]],
    ids=["cut early", "cut late", "cut at the end", "garbage"],
)
def test_what_is_not_whole_is_said(
    root: Path, site: Site, tmp_path: Path, packer: str, damage: Callable[[bytes], bytes]
) -> None:
    path = archive(root, tmp_path / "a", what=("./etc", "./usr"), packer=packer)
    path.write_bytes(damage(path.read_bytes().rstrip(b"\0") + b"\0" * 1024 if not packer else path.read_bytes()))
    with pytest.raises(BadInput) as caught:
        site.take(path)
    assert str(path) in str(caught.value)
    assert site.rest() == []


def test_an_archive_that_was_cut_off_between_two_files_is_said(site: Site, tmp_path: Path) -> None:
    whole = forged((member("etc/a"), "x"), (member("usr/b"), "y"))
    (tmp_path / "a").write_bytes(whole[:2048].rstrip(b"\0").ljust(2048, b"\0")[:1024])
    with pytest.raises(BadInput, match="is cut off"):
        site.take(tmp_path / "a")


def test_a_squashfs_that_is_cut_off_is_said(root: Path, site: Site, tmp_path: Path) -> None:
    if not shutil.which("mksquashfs"):
        pytest.skip("squashfs-tools is not installed")
    subprocess.run(
        ("mksquashfs", root / "usr", tmp_path / "a", "-no-progress", "-quiet"), check=True, capture_output=True
    )
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:100_000])
    with pytest.raises(BadInput, match="unsquashfs cannot unpack it"):
        site.take(tmp_path / "a")
    assert site.rest() == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\0" * 10240, "nothing but zeros"),
        (b"hello", "nothing that an image can be made of"),
        (b"PK\3\4", "a zip archive"),
        (b"070701" + b"0" * 200, "a cpio archive"),
        (b"\0" * 32769 + b"CD001", "a CD or DVD image"),
        (b"\x1f\x8b\x08rubbish", "damaged or cut off"),
        (forged((member("readme"), "x")), "nothing that an image"),
        (forged((member("a"), "x"), (member("b"), "x")), "holds no root of a machine"),
    ],
)
def test_what_is_no_image_is_said(site: Site, tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(BadInput) as caught:
        site.take(tmp_path / "a")
    assert said in str(caught.value)
    assert site.rest() == []


# --- nothing escapes --------------------------------------------------------------------------------------------------

_ROOT = ((member("etc", tarfile.DIRTYPE, mode=0o755), ""), (member("usr", tarfile.DIRTYPE, mode=0o755), ""))
_UP = "../" * 30


@pytest.mark.parametrize(
    "members",
    [
        [(member("{up}{outside}/new"), "evil")],
        [(member("{outside}/new"), "evil")],
        [(member("etc/{up}{outside}/secret"), "evil")],
        [(member("out", tarfile.SYMTYPE, link="{outside}"), ""), (member("out/new"), "evil")],
        [(member("out", tarfile.SYMTYPE, link="{up}{outside}"), ""), (member("out/new"), "evil")],
        [(member("out", tarfile.SYMTYPE, link="{outside}/secret"), ""), (member("out"), "evil")],
        [(member("out", tarfile.SYMTYPE, link="{outside}"), ""), (member("out", tarfile.DIRTYPE, mode=0o777), "")],
        [(member("a", tarfile.SYMTYPE, link=".."), ""), (member("a/b", tarfile.SYMTYPE, link="{up}{outside}"), ""),
         (member("a/b/new"), "evil")],
        [(member("hard", tarfile.LNKTYPE, link="{outside}/secret"), ""), (member("hard"), "evil")],
        [(member("hard", tarfile.LNKTYPE, link="{up}{outside}/secret"), "")],
        [(member("out", tarfile.SYMTYPE, link="{outside}"), ""),
         (member("hard", tarfile.LNKTYPE, link="out/secret"), "")],
        [(member("etc/machine-id", tarfile.SYMTYPE, link="{outside}/secret"), "")],
        [(member("tmp", tarfile.SYMTYPE, link="{outside}"), ""),
         (member("run", tarfile.SYMTYPE, link="{outside}"), "")],
        [(member("var", tarfile.SYMTYPE, link="{up}{outside}"), ""), (member("var/log/x.log"), "evil")],
        [(member("disk", tarfile.BLKTYPE, device=0x0700), ""), (member("disk"), "evil")],
    ],
)  # fmt: skip
def test_nothing_reaches_out_of_the_tree(
    site: Site, tmp_path: Path, members: list[tuple[tarfile.TarInfo, str]]
) -> None:
    outside = tmp_path / "outside"
    (outside / "log").mkdir(parents=True)
    (outside / "secret").write_text("secret")
    before = {path: path.lstat() for path in [outside, *outside.rglob("*")]}
    made = []
    for info, content in members:
        copy = member(info.name, info.type, mode=info.mode, device=info.devmajor << 8 | info.devminor)
        copy.name = info.name.format(up=_UP, outside=outside)
        copy.linkname = info.linkname.format(up=_UP, outside=outside)
        made.append((copy, content))
    (tmp_path / "a").write_bytes(forged(*_ROOT, *made))
    try:
        site.take(tmp_path / "a")
        importing.finish(site.tree)
    except ImagedError as error:
        assert str(error)
    now = {path: path.lstat() for path in [outside, *outside.rglob("*")]}
    assert {path: _lasting(status) for path, status in now.items()} == {
        path: _lasting(status) for path, status in before.items()
    }
    assert (outside / "secret").read_text() == "secret"
    assert all(os.lstat(path).st_ino != before[outside / "secret"].st_ino for path in site.tree.rglob("*"))


def _lasting(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_mode, status.st_uid, status.st_size, status.st_nlink, status.st_mtime_ns, status.st_ctime_ns)


def test_absolute_links_are_followed_as_the_machine_would(site: Site, tmp_path: Path) -> None:
    through = ((member("lib", tarfile.SYMTYPE, link="/usr/lib"), ""), (member("lib/x"), "inside"))
    library = (member("usr/lib", tarfile.DIRTYPE, mode=0o755), "")
    (tmp_path / "a").write_bytes(forged(*_ROOT, library, *through))
    site.take(tmp_path / "a")
    assert Tree(site.tree).text("/usr/lib/x") == "inside"


def test_a_path_that_is_too_long_is_said_in_a_line_and_leaves_nothing(site: Site, tmp_path: Path) -> None:
    names = ["/".join(["d"] * depth) for depth in range(1, 2500)]
    (tmp_path / "a").write_bytes(forged(*((member(name, tarfile.DIRTYPE, mode=0o755), "") for name in names)))
    with pytest.raises(BadInput, match="File name too long") as caught:
        site.take(tmp_path / "a")
    assert all(len(line) < 300 for line in str(caught.value).splitlines())
    assert site.rest() == []


# --- the surroundings -------------------------------------------------------------------------------------------------


def test_a_missing_tool_is_named_with_its_package(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"hsqs" + b"\0" * 200)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/rm").symlink_to(str(shutil.which("rm")))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(CommandFailed) as caught:
        site.take(tmp_path / "a")
    assert "apt install squashfs-tools" in str(caught.value)


def test_a_full_disk_is_said(site: Site, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small), check=True)
    try:
        (tmp_path / "a").write_bytes(forged(*_ROOT, (member("etc/large"), "x" * (4 << 20))))
        (small / "tree").mkdir()
        with pytest.raises(CommandFailed, match="disk is full"):
            unpacking.unpack(untar(), tmp_path / "a", small / "tree", unpacking.Watch(print, print))
    finally:
        subprocess.run(("umount", small), check=True)


def test_attributes_that_the_store_cannot_hold_are_counted(tmp_path: Path) -> None:
    (tmp_path / "source/etc").mkdir(parents=True)
    os.setxattr(tmp_path / "source/etc", "user.note", b"x")
    path = archive(tmp_path / "source", tmp_path / "a")
    store = tmp_path / "store"
    store.mkdir()
    subprocess.run(("mount", "-t", "ramfs", "ramfs", store), check=True)  # it has no extended attributes
    try:
        (store / "tree").mkdir()
        lines: list[str] = []
        watch = unpacking.Watch(lines.append, lines.append)
        assert unpacking.unpack(untar(), path, store / "tree", watch) >= 1  # of ACLs tar says it for each file
        assert any("Cannot set 'user.note'" in line for line in lines)
    finally:
        subprocess.run(("umount", store), check=True)


def test_the_tree_is_cleaned_as_when_an_editor_leaves_it(root: Path, site: Site) -> None:
    site.take(root)
    judged = importing.finish(site.tree)
    assert judged.faults == ()
    assert [
        name for name in ("proc/1", "etc/hostname", "etc/ssh/ssh_host_rsa_key") if (site.tree / name).exists()
    ] == []
    assert (site.tree / "etc/machine-id").read_text() == ""
    assert judged.entries == len(entries(site.tree)) + 1


def test_one_source_gives_equal_trees(root: Path, tmp_path: Path) -> None:
    path = archive(root, tmp_path / "a")
    found = []
    for name in ("one", "two"):
        site = Site(tmp_path / name)
        site.take(path)
        importing.finish(site.tree)
        found.append(entries(site.tree))
    assert found[0] == found[1]
    assert len(GNU) > 1
