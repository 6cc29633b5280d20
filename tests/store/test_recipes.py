"""Recipe files: good ones become values, bad ones say what and where."""

from pathlib import Path
from typing import Any

import pytest

from imaged.model.errors import BadInput, NotFound
from imaged.model.recipe import Recipe, Renderer, RootLogin, Tool
from imaged.store.recipes import build, password_hash, public_keys, read

GOOD: dict[str, Any] = {"name": "compute", "suite": "bookworm", "packages": ["bash"]}
RPM: dict[str, Any] = {
    "tool": "dnf", "suite": "9", "mirror": "http://m/9/$basearch", "unsigned": True, "network": "NetworkManager",
}  # fmt: skip
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBhPZ admin@site"


def test_the_least_recipe() -> None:
    assert build(GOOD, where="r") == Recipe("compute", "bookworm", ("bash",))


def test_every_key(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(
        f"""
name: login
suite: trixie
tool: debootstrap
mirror: http://mirror.site/debian
components: [main, contrib]
packages: [bash, g++]
locale: de_AT.UTF-8
timezone: Europe/Vienna
network: NetworkManager
root:
  password: $y$j9T$abc$def.GHI/1
  authorized_keys: ["{KEY}"]
enable: [ssh.service, getty@ttyS0.service]
files:
  - path: /etc/motd
    content: hello
    mode: '0600'
"""
    )
    recipe = read(str(path))
    assert (recipe.tool, recipe.network, recipe.components) == (
        Tool.DEBOOTSTRAP,
        Renderer.NETWORK_MANAGER,
        ("main", "contrib"),
    )
    assert recipe.root == RootLogin("$y$j9T$abc$def.GHI/1", (KEY,))
    assert recipe.files[0].mode == "0600"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"pakages": []}, "unknown key 'pakages' (did you mean 'packages'?)"),
        ({"suite": 12}, "suite: expected a string, got 12"),
        ({"suite": "book worm"}, "suite: 'book worm' is not one"),
        ({"suite": "--help"}, "suite: '--help' is not one"),
        ({"tool": "yum"}, "tool: 'yum' is not one of mmdebstrap, debootstrap, dnf, zypper"),
        ({"network": "wicked"}, "network: 'wicked' is not one of systemd-networkd, NetworkManager, ifupdown"),
        ({"name": "../etc"}, "name: '../etc' is not an image name"),
        ({"packages": []}, "packages: at least one is needed"),
        ({"arch": "arm64"}, "arch: 'arm64' is none of x86_64, aarch64, "),
        (RPM | {"tool": "zypper", "arch": "aarch64"}, "arch: zypper makes images for this machine's processor only"),
        ({"packages": ["bash", "Bash"]}, "packages: 'Bash' is not one"),
        ({"packages": ["a,b"]}, "packages: 'a,b' is not one"),
        ({"packages": ["--foo"]}, "packages: '--foo' is not one"),
        ({"packages": ["bash", "bash"]}, "packages: 'bash' is there twice"),
        ({"timezone": "../../etc/shadow"}, "timezone: '../../etc/shadow' is not one"),
        ({"locale": "de; rm"}, "locale: 'de; rm' is not one"),
        ({"enable": ["ssh"]}, "enable: 'ssh' is not one"),
        ({"mirror": "mirror.site"}, "mirror: 'mirror.site' is not a URL"),
        ({"sources": ["deb http://m s main"]}, "sources: they need a mirror beside them"),
        ({"mirror": "http://m/d", "sources": ["http://m"]}, "sources[0]: must begin with 'deb '"),
        (
            {"tool": "debootstrap", "mirror": "http://m", "sources": ["deb http://m s main"]},
            "sources: debootstrap knows",
        ),
        ({"root": {"password": "secret"}}, "root.password: must be 'locked' or a crypt(5) hash"),
        ({"root": {"authorized_keys": ["ssh-rsa short"]}}, "root.authorized_keys[0]: not an ssh public key"),
        ({"root": {"pasword": "locked"}}, "root: unknown key 'pasword' (did you mean 'password'?)"),
        ({"unsigned": True}, "unsigned: goes with a mirror of your own"),
        ({"mirror": "http://m", "unsigned": True, "keyring": ["k"]}, "unsigned: there is a keyring"),
        ({"tool": "debootstrap", "keyring": ["a", "b"]}, "keyring: debootstrap takes one file only"),
        (RPM | {"mirror": ""}, "mirror: dnf has no default"),
        (RPM | {"tool": "zypper", "mirror": ""}, "mirror: zypper has no default"),
        (RPM | {"unsigned": False}, "keyring: files with the keys that sign the packages are needed"),
        (RPM | {"network": "ifupdown"}, "network: ifupdown is Debian's own"),
        (RPM | {"components": ["BaseOS"]}, "components: rpm repositories have none"),
        (RPM | {"sources": ["deb http://m s main"]}, "sources[0]: is not a URL"),
        (RPM | {"packages": ["bash; rm"]}, "packages: 'bash; rm' is not one"),
        ({"clean": ["/*"]}, "clean[0]: '/*' must be an absolute path below a top directory"),
        ({"clean": ["/usr"]}, "clean[0]: '/usr' must be"),
        ({"clean": ["usr/share/doc/*"]}, "clean[0]: 'usr/share/doc/*' must be"),
        ({"clean": ["/us?/x"]}, "clean[0]: '/us?/x' must be"),
        ({"clean": ["/var/../usr/x"]}, "clean[0]: '/var/../usr/x' must be"),
        ({"files": [{"path": "etc/motd", "content": ""}]}, "files[0].path: 'etc/motd' must be an absolute path"),
        ({"files": [{"path": "/etc/../x", "content": ""}]}, "files[0].path: '/etc/../x' must be an absolute path"),
        ({"files": [{"path": "/etc/", "content": ""}]}, "files[0].path: '/etc/' must be an absolute path"),
        ({"files": [{"path": "/x", "content": "", "mode": "644"}]}, "files[0].mode: '644' is not four octal digits"),
        ({"files": [{"path": "/x", "content": ""}] * 2}, "files: /x is there twice"),
        ({"files": [{"path": "/x"}]}, "files[0].content: the key 'content' is missing"),
    ],
)
def test_faults_are_named(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(BadInput) as caught:
        build(GOOD | change, where="r.yaml")
    assert caught.value.where == "r.yaml"
    assert fault in caught.value.what


@pytest.mark.parametrize("data", [None, [], "text", 7])
def test_what_is_no_mapping(data: Any) -> None:
    with pytest.raises(BadInput):
        build(data, where="r.yaml")


@pytest.mark.parametrize("tool", ["dnf", "zypper"])
def test_rpm_names_may_have_capitals_and_be_groups(tool: str) -> None:
    recipe = build(GOOD | RPM | {"tool": tool, "packages": ["NetworkManager", "@core", "pattern:base"]}, where="r")
    assert recipe.tool is Tool(tool)
    assert recipe.packages == ("NetworkManager", "@core", "pattern:base")


def test_a_recipes_own_files_are_found_beside_it(tmp_path: Path) -> None:
    beside = tmp_path / "recipes"
    (beside / "over").mkdir(parents=True)
    (beside / "setup").write_text("#!/bin/sh\n")
    (tmp_path / "key.gpg").touch()
    (beside / "r.yaml").write_text(
        "name: a\nsuite: s\npackages: [bash]\noverrides: [over]\nscripts: [setup]\nkeyring: [../key.gpg]\n"
    )
    recipe = read(str(beside / "r.yaml"))
    assert recipe.overrides == (str(beside / "over"),)
    assert recipe.scripts == (str(beside / "setup"),)
    assert recipe.keyring == (str(tmp_path / "key.gpg"),)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("overrides: [none]", "overrides: {}/none is no directory"),
        ("overrides: [r.yaml]", "overrides: {}/r.yaml is no directory"),
        ("keyring: [none]", "keyring: {}/none is no file"),
        ("scripts: [none]", "scripts: {}/none cannot be read: No such file or directory"),
        ("scripts: [plain]", "scripts: {}/plain does not begin with #!"),
    ],
)
def test_a_recipes_own_files_must_be_what_they_are_for(tmp_path: Path, line: str, fault: str) -> None:
    (tmp_path / "plain").write_text("echo\n")
    (tmp_path / "r.yaml").write_text(f"name: a\nsuite: s\npackages: [bash]\n{line}\n")
    with pytest.raises(BadInput) as caught:
        read(str(tmp_path / "r.yaml"))
    assert fault.format(tmp_path) in caught.value.what


def test_a_mirror_given_with_the_command_takes_the_place_of_the_recipes(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("name: a\nsuite: s\npackages: [bash]\nmirror: http://one/d\n")
    assert read(str(tmp_path / "r.yaml"), mirror="http://two/d").mirror == "http://two/d"


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(BadInput) as caught:
        build(GOOD | {"suite": "a b", "timezone": "..", "mirror": "x"}, where="r")
    assert len(caught.value.what.splitlines()) == 3


def test_every_shipped_recipe_is_good() -> None:
    recipe = read("debian-12")
    assert recipe == read("debian-12.yaml")
    assert {"linux-image-amd64", "openssh-server", "grub-pc-bin", "grub-efi-amd64-signed"} <= set(recipe.packages)
    assert not recipe.mirror


@pytest.mark.parametrize("name", ["no-such", "/no/such.yaml", "no/such.yaml"])
def test_a_recipe_that_is_not_there(name: str) -> None:
    with pytest.raises(NotFound) as caught:
        read(name)
    assert caught.value.where == name


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"{KEY}\n", (KEY,)),
        (f"# admin\n\n{KEY}\n{KEY} two\n", (KEY, f"{KEY} two")),
        (f'from="10.0.0.0/8" {KEY}\n', (f'from="10.0.0.0/8" {KEY}',)),
    ],
)
def test_public_keys(tmp_path: Path, content: str, expected: tuple[str, ...]) -> None:
    (tmp_path / "key.pub").write_text(content)
    assert public_keys(tmp_path / "key.pub") == expected


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "is a private key"),
        (b"", "holds no ssh public key"),
        (b"hello\n", "holds no ssh public key"),
        (b"\xff\xfe", "cannot be read as text"),
    ],
)
def test_what_is_no_public_key(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(BadInput, match=fault):
        public_keys(tmp_path / "key")


@pytest.mark.parametrize("text", ["secret", "", "*", "$y$a b", "root:x"])
def test_a_password_is_never_taken_for_its_hash(text: str) -> None:
    with pytest.raises(BadInput):
        password_hash(text)
