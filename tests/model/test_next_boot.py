"""Boot actions as people write them, and what may go with one."""

import pytest

from imaged.model.codec import from_json, to_json
from imaged.model.errors import BadInput
from imaged.model.next_boot import Booting, NextBoot, boot_action, command_line, ipxe_script
from imaged.model.node import BootAction


@pytest.mark.parametrize("action", list(BootAction))
def test_actions_are_read(action: BootAction) -> None:
    assert boot_action(action.value) is action


@pytest.mark.parametrize(
    ("text", "why"),
    [("stateless", "nodes without disks do not exist yet"), ("instal", "no boot action"), ("", "no boot action")],
)
def test_what_is_no_action(text: str, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        boot_action(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("  quiet   ip=dhcp\n", "quiet ip=dhcp"),
        ("console=ttyS0,115200n8 root=/dev/vda1 x.y=a:b", "console=ttyS0,115200n8 root=/dev/vda1 x.y=a:b"),
    ],
)
def test_a_command_line(text: str, expected: str) -> None:
    assert command_line(text) == expected


@pytest.mark.parametrize(
    "word", ["a;b", "||", "${net0/mac}", 'x="y"', "it's", "a\\b", "a|b", "<x", "#", "ä", "a\0b", "[x]", "{}"]
)
def test_words_that_a_boot_loader_would_take_for_its_own(word: str) -> None:
    with pytest.raises(BadInput, match="would not come through"):
        command_line(f"quiet {word}")


def test_scripts() -> None:
    assert ipxe_script("#!ipxe\nshell\n") == "#!ipxe\nshell\n"
    for text, why in (("shell\n", "begins with"), ("", "begins with"), ("#!ipxe\n" + "x" * 65536, "64 KiB")):
        with pytest.raises(BadInput, match=why):
            ipxe_script(text)


def test_it_is_kept_and_told() -> None:
    kernel = NextBoot(BootAction.KERNEL, "custom/a", ("custom/b",), "quiet")
    assert from_json(to_json(kernel), NextBoot) == kernel
    assert str(Booting(kernel)) == "kernel"
    assert str(Booting(kernel, NextBoot(BootAction.LOCAL))) == "kernel, then local"
