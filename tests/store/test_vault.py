"""Private keys of nodes on the server: nobody else's to read, nothing but host keys, gone when they shall be."""

import stat
from pathlib import Path

import pytest

from imaged.model.errors import BadInput
from imaged.model.vault import KeptFile, KeptFiles, kept
from imaged.store.vault import Vault

KEY = "/etc/ssh/ssh_host_ed25519_key"
FILES = KeptFiles((kept(KEY, 0o100600, b"PRIVATE \xff"), kept(f"{KEY}.pub", 0o644, b"ssh-ed25519 AAAA")))


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    assert vault.of("n1") == KeptFiles()
    vault.keep("n1", FILES)
    assert Vault(tmp_path / "vault").of("n1") == FILES
    assert FILES.files[0].data == b"PRIVATE \xff" and FILES.files[0].mode == "0600"
    assert vault.of("n2") == KeptFiles()
    vault.forget("n1")
    vault.forget("n1")
    assert vault.of("n1") == KeptFiles() and vault.generation("n1") == 0


def test_nobody_else_may_look(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "state/vault")
    vault.keep("n1", FILES)
    vault.renew("n1", 1)
    for path in (tmp_path / "state/vault").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert stat.S_IMODE((tmp_path / "state/vault").stat().st_mode) == 0o700


def test_it_does_not_grow_with_the_installs(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    for generation in range(100):
        vault.keep("n1", FILES)
        vault.renew("n1", generation)
    assert vault.generation("n1") == 99
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["generation", "identity.json"]


@pytest.mark.parametrize(
    "file",
    [
        kept("/etc/shadow", 0o600, b""),
        kept("/etc/ssh/ssh_host_rsa_key/../../shadow", 0o600, b""),
        kept("/etc/ssh/ssh_host_rsa_key\n", 0o600, b""),
        kept("/etc/ssh/sshd_config", 0o600, b""),
        kept(KEY, 0o600, b"x" * 70000),
        KeptFile(KEY, "4755", ""),
        KeptFile(KEY, "0600", "not base64!"),
    ],
)
def test_what_is_no_host_key_is_refused(tmp_path: Path, file: KeptFile) -> None:
    with pytest.raises(BadInput):
        Vault(tmp_path).keep("n1", KeptFiles((file,)))
    assert Vault(tmp_path).of("n1") == KeptFiles()


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="25 files"):
        Vault(tmp_path).keep("n1", KeptFiles(FILES.files[:1] * 25))
    with pytest.raises(BadInput):
        Vault(tmp_path).of("../n1")


def test_a_traceback_does_not_tell_a_key() -> None:
    assert FILES.files[0].content not in repr(FILES)
