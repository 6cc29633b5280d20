"""LUKS2 devices: made and opened with cryptsetup(8), argv by pure functions. Keys travel by stdin, never in an argv."""

import os
from collections.abc import Callable
from pathlib import Path

from attrs import define, field

from imaged.model.errors import Conflict
from imaged.model.plan import MakeCrypt, OpenCrypt
from installer.arrays import appeared
from installer.process import Run
from installer.tree import inside, replace

_MOST_MEMORY = 2**20  # KiB; cryptsetup's own limit
_FROM_STDIN = ("--key-file", "-")  # read to its end: a key is its text without a newline, which is what people type


@define
class Keys:
    """The node's keys by the name of their device, asked of the server once each; and the files they belong into."""

    ask: Callable[[str], str]
    _known: dict[str, str] = field(factory=dict)
    _files: dict[str, str] = field(factory=dict)

    def of(self, name: str, keyfile: str = "") -> str:
        """The key of ``name``; with ``keyfile`` it will be kept in that file of the node as well."""
        if name not in self._known:
            self._known[name] = self.ask(name)
        if keyfile:
            self._files[keyfile] = name
        return self._known[name]

    def leave(self, root: Path) -> None:
        """Write the key files below ``root``, for root's eyes: after the image, before the initramfs is made."""
        for path, name in self._files.items():
            replace(inside(root, path), self._known[name].encode(), 0o400)


def make_crypt(step: MakeCrypt, keys: Keys, memory: int, run: Run) -> None:
    """Format, seal in the TPM if wanted, and open. ``memory`` in bytes is the machine's."""
    key = keys.of(step.name, step.keyfile)
    run(luks_format(step, memory), stdin=key)
    if step.tpm2:
        # By environment: this program reads a key only from there, a terminal or a file.
        run(enroll(step.device), env={**os.environ, "LC_ALL": "C", "PASSWORD": key})
    run(luks_open(step.device, step.name), stdin=key)
    run(appeared(f"/dev/mapper/{step.name}"))


def open_crypt(step: OpenCrypt, keys: Keys, run: Run) -> None:
    """Open the device that stays. Raises Conflict when another is there."""
    found = run(("cryptsetup", "luksUUID", step.device), check=False).output.strip()
    if found.lower() != step.uuid.lower():
        raise Conflict(f"is not the encrypted device of the plan: UUID {found or '(none)'}", where=step.device)
    run(luks_open(step.device, step.name), stdin=keys.of(step.name, step.keyfile))
    run(appeared(f"/dev/mapper/{step.name}"))


def luks_format(step: MakeCrypt, memory: int) -> tuple[str, ...]:
    """luksFormat. The same memory is needed again at every boot, in an initramfs on this same machine: half of it."""
    return (
        "cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", "--uuid", step.uuid, "--pbkdf", "argon2id",
        "--pbkdf-memory", str(min(memory // 2 // 1024, _MOST_MEMORY)), *_FROM_STDIN, step.device,
    )  # fmt: skip


def luks_open(device: str, name: str) -> tuple[str, ...]:
    """open, as /dev/mapper/``name``."""
    return ("cryptsetup", "open", "--type", "luks2", *_FROM_STDIN, device, name)


def enroll(device: str) -> tuple[str, ...]:
    """A key slot of its own, sealed to the state of Secure Boot (PCR 7), as systemd-cryptenroll(1) does by default."""
    return ("systemd-cryptenroll", "--tpm2-device=auto", "--tpm2-pcrs=7", device)
