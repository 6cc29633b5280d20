"""Host keys of a target: collected without what only looks like one, written back as they were."""

import stat
from pathlib import Path

import pytest

from imaged.model.errors import BadInput
from imaged.model.vault import KeptFiles, kept
from installer.vault import collect, restore


def test_what_is_collected_is_restored(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for name, mode in (
        ("ssh_host_ed25519_key", 0o600),
        ("ssh_host_ed25519_key.pub", 0o644),
        ("ssh_host_rsa_key", 0o640),
    ):
        at = old / "etc/ssh" / name
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(name.encode())
        at.chmod(mode)
    (old / "etc/ssh/ssh_host_key.bak").write_text("x")
    (old / "etc/ssh/ssh_host_ecdsa_key").symlink_to("/etc/shadow")
    (old / "etc/ssh/ssh_host_dsa_key").mkdir()
    new.mkdir()
    files = collect(old)
    restore(files, new)
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (new / "etc/ssh").iterdir()}
    assert found == {"ssh_host_ed25519_key": 0o600, "ssh_host_ed25519_key.pub": 0o644, "ssh_host_rsa_key": 0o640}
    assert collect(new) == files
    assert collect(tmp_path / "nothing") == KeptFiles()


def test_an_answer_that_would_write_elsewhere_writes_nothing(tmp_path: Path) -> None:
    good = kept("/etc/ssh/ssh_host_rsa_key", 0o600, b"x")
    with pytest.raises(BadInput):
        restore(KeptFiles((good, kept("/etc/passwd", 0o644, b"x"))), tmp_path)
    assert not list(tmp_path.iterdir())
