"""Which other processors' programs can be started."""

import platform

import pytest

from imaged.binfmt import check_runs
from imaged.model.errors import CommandFailed


def test_this_machines_programs_always_start(tmp_path):
    check_runs(platform.machine(), tmp_path)


def test_others_start_once_the_kernel_knows_their_emulator(tmp_path):
    with pytest.raises(CommandFailed, match="programs for riscv64 cannot be started"):
        check_runs("riscv64", tmp_path)
    (tmp_path / "qemu-riscv64").touch()
    check_runs("riscv64", tmp_path)
