"""dnf and zypper make an image, from a repository of a few packages built here."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imaged.cli.main import imaged
from imaged.model.errors import CommandFailed
from imaged.model.names import ImageRef
from imaged.store.images import Images
from imaged.store.tree import Tree
from tests.origins.tiny import copy_program, make, write

_TOOLS = ("rpmbuild", "rpmsign", "createrepo_c", "dnf", "zypper", "gpg", "busybox", "systemctl")
pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root builds images"),
    pytest.mark.skipif(
        not all(map(shutil.which, _TOOLS)), reason=f"needs {', '.join(_TOOLS)} (Debian: rpm createrepo-c dnf zypper)"
    ),
]
_SPEC = """
%global debug_package %{{nil}}
%global __os_install_post %{{nil}}
Name: {name}
Version: 1
Release: 1
Summary: For a test
License: GPL
AutoReqProv: no
{tags}
%description
For a test.
%install
cp -a {source}/. %{{buildroot}}/
%post
{post}
%files
{files}
"""
_RPM_MACROS = "%_dbpath /var/lib/rpm\n%_db_backend sqlite\n"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of signed packages with its metadata, and ``key.asc`` that goes with it."""
    top = tmp_path_factory.mktemp("rpm")
    make(top / "base")
    for program in ("/usr/bin/systemctl", "/usr/sbin/chpasswd"):
        copy_program(top / "base", program)
    write(top / "kernel/boot/vmlinuz-6.1.0", "kernel")
    write(top / "kernel/boot/initramfs-6.1.0.img", "initramfs")
    write(top / "kernel/usr/lib/modules/6.1.0/modules.dep", "")
    write(top / "kernel/usr/lib/grub/i386-pc/moddep.lst", "normal:")
    write(
        top / "NetworkManager/usr/lib/systemd/system/NetworkManager.service",
        "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n",
    )
    # A script of a package proves that it has a /dev/null which is none of the tree's own.
    _package(top, "base", "Provides: tzdata timezone /bin/sh", "set -e\n: > /dev/null\nls /proc/self > /etc/scriptlet")
    _package(top, "kernel", "Requires: base", "true")
    _package(top, "NetworkManager", "Requires: base", "exit 7")
    for program in ("/usr/bin/rpm", "/usr/bin/rpmdb"):
        copy_program(top / "rpm", program)
    for name in ("rpmrc", "platform/x86_64-linux/macros"):
        if Path("/usr/lib/rpm", name).exists():
            (top / "rpm/usr/lib/rpm" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy("/usr/lib/rpm/" + name, top / "rpm/usr/lib/rpm" / name)
    write(top / "rpm/usr/lib/rpm/macros", Path("/usr/lib/rpm/macros").read_text() + _RPM_MACROS)
    _package(top, "rpm", "Requires: base", "true")
    _sign(top)
    return top / "packages"


def _package(top: Path, name: str, tags: str, post: str) -> None:
    source = top / name
    listed = [
        f'{"%dir " if path.is_dir() and not path.is_symlink() else ""}"/{path.relative_to(source)}"'
        for path in sorted(source.rglob("*"))
    ]
    write(
        top / f"{name}.spec",
        _SPEC.format(name=name, tags=tags, source=source, post=post, files="\n".join(listed)),
    )
    _run(
        "rpmbuild", "-bb", "--define", f"_topdir {top}/top", "--define", f"_rpmdir {top}/packages", f"{top}/{name}.spec"
    )


def _sign(top: Path) -> None:
    home = top / "gnupg"
    home.mkdir(mode=0o700)
    gpg = ("gpg", "--homedir", str(home), "--batch", "--yes")
    _run(*gpg, "--passphrase", "", "--quick-generate-key", "test@site", "rsa2048", "sign", "never")
    packages = sorted(map(str, (top / "packages").rglob("*.rpm")))
    _run(
        "rpmsign",
        "--define",
        f"_gpg_path {home}",
        "--define",
        "_gpg_name test@site",
        "--define",
        "__gpg /usr/bin/gpg",
        "--addsign",
        *packages,
    )
    _run("createrepo_c", "--quiet", f"{top}/packages")
    _run(*gpg, "--armor", "--output", f"{top}/packages/key.asc", "--export", "test@site")
    _run(*gpg, "--armor", "--detach-sign", f"{top}/packages/repodata/repomd.xml")
    shutil.copy(top / "packages/key.asc", top / "packages/repodata/repomd.xml.key")
    _run("gpgconf", "--homedir", str(home), "--kill", "gpg-agent")


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


SCRIPT = "#!/bin/sh\nset -e\ncat /etc/motd /etc/resolv.conf > /root/seen\n: > /dev/null\n"
RECIPE = """
name: tiny
tool: {tool}
suite: '9'
mirror: file://{repository}
packages: [kernel, rpm]
network: NetworkManager
overrides: [over]
scripts: [setup]
clean: [/usr/share/zoneinfo/Etc/*]
{trust}
"""


def build(site: Path, repository: Path, tool: str, trust: str, script: str = SCRIPT) -> Result:
    write(site / "imaged.yaml", f"address: 127.0.0.1\nstate: {site}/state\n")
    write(site / "over/etc/motd", "hello\n")
    write(site / "setup", script)
    write(site / "tiny.yaml", RECIPE.format(tool=tool, repository=repository, trust=trust))
    argv = ["--settings", str(site / "imaged.yaml"), "buildimage", str(site / "tiny.yaml")]
    return CliRunner().invoke(imaged, argv, standalone_mode=False)


@pytest.mark.parametrize("tool", ["dnf", "zypper"])
@pytest.mark.parametrize("trust", ["keyring: [key.asc]", "unsigned: true"])
def test_an_image_from_rpms(tmp_path: Path, repository: Path, tool: str, trust: str) -> None:
    shutil.copy(repository / "key.asc", tmp_path / "key.asc")
    result = build(tmp_path, repository, tool, trust)
    assert result.exception is None, result.output + str(result.exception)
    images = Images(tmp_path / "state/images")
    version = images.resolve(ImageRef("tiny"))
    tree = Tree(images.tree(version))

    assert (version.facts.os_name, version.facts.grub_platforms) == ("Tiny 9", ("i386-pc",))
    assert [(kernel.version, kernel.initrd) for kernel in version.facts.kernels] == [
        ("6.1.0", "/boot/initramfs-6.1.0.img")
    ]
    assert "NetworkManager.service" in version.facts.units
    assert tree.text("/root/seen") == "hello\n" + Path("/etc/resolv.conf").read_text()
    assert not tree.exists("/etc/resolv.conf")
    assert tree.text("/etc/scriptlet"), "the package's script saw a /proc"
    assert tree.text("/etc/shadow").startswith("root:*:")
    assert "A script of the package NetworkManager-1-1.x86_64 failed" in result.output

    for empty in ("/dev", "/proc", "/run", "/tmp", "/var/cache/dnf", "/var/cache/zypp", "/usr/share/zoneinfo/Etc"):
        assert tree.names(empty) == (), empty
    assert not tree.exists("/root/.rpmdb")
    assert not tree.exists("/usr/lib/sysimage/rpm")
    assert tree.exists("/var/lib/rpm/rpmdb.sqlite")
    installed = subprocess.run(
        ("chroot", str(tree.root), "rpm", "-qa"), capture_output=True, text=True, check=True
    ).stdout.split()
    names = {name.rpartition("-1-1")[0] for name in installed if not name.startswith("gpg-pubkey")}
    assert names == {"base", "kernel", "NetworkManager", "rpm"}


@pytest.mark.parametrize("tool", ["dnf", "zypper"])
def test_packages_that_somebody_else_signed_are_refused(tmp_path: Path, repository: Path, tool: str) -> None:
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    gpg = ("gpg", "--homedir", str(home), "--batch", "--yes")
    _run(*gpg, "--passphrase", "", "--quick-generate-key", "other@site", "rsa2048", "sign", "never")
    _run(*gpg, "--armor", "--output", f"{tmp_path}/key.asc", "--export", "other@site")
    _run("gpgconf", "--homedir", str(home), "--kill", "gpg-agent")
    result = build(tmp_path, repository, tool, "keyring: [key.asc]")
    assert isinstance(result.exception, CommandFailed)
    assert re.search("GPG|[Ss]ignature", str(result.exception))
    assert Images(tmp_path / "state/images").names() == ()


def test_a_failed_script_ends_the_build_and_says_its_last_words(tmp_path: Path, repository: Path) -> None:
    result = build(tmp_path, repository, "dnf", "unsigned: true", "#!/bin/sh\necho no licence\nexit 3\n")
    assert isinstance(result.exception, CommandFailed)
    assert result.exception.where == str(tmp_path / "setup")
    assert result.exception.what == "ended with 3"
    assert result.exception.hint.startswith("no licence\n  The whole log: ")
    assert Images(tmp_path / "state/images").names() == ()
