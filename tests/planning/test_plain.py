"""The script of an update without the agent, and what its output means."""

import pytest

from imaged.model.errors import BadInput
from imaged.model.plan import CheckFile, MakeLink, RemovePath, RunInTarget, WriteFile
from imaged.model.update import Guard, Protected, Script, Triggered, UpdatePlan
from imaged.planning.answers import Change, UpdateAnswer
from imaged.planning.plain import Plain, read, refusal, script

PLAN = UpdatePlan(
    node="n1", image="c@2", serial="s", manifest="/m", manifest_sha256="0", entries=1, bytes=1, rsync_port=873,
    protect=(Protected("/home/", "people's files"), Protected("/etc/x y", "")), merge=("/etc/passwd",),
    fixups=(
        Triggered(WriteFile("/etc/motd", "it's\n", "0600")),
        Triggered(MakeLink("/etc/a", "b c")),
        Triggered(RemovePath("/etc/it's/*.old")),
        Triggered(CheckFile("/etc/motd", "0600", "it")),
    ),
    bootloader=(Triggered(RunInTarget(("update-grub",)), ("/boot/vmlinu[xz]-*", "/etc/grub.d/")),),
    scripts=(Script("10all.x", "#!/bin/sh\n"),), variables={"IMAGED_NODE": "n1"}, guard=Guard(7, "debian"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("how", "there"),
    [
        (Plain("10.0.0.1"), 'RSYNC_PROXY=n1:$(cat "$root$home/secret")@10.0.0.1:873'),
        (Plain("10.0.0.1"), "printf '%s\\0' '- /home/*' >>\"$tmp/rules\""),
        (Plain("10.0.0.1"), "printf '%s\\0' '- /etc/x y' >>\"$tmp/rules\""),
        (Plain("10.0.0.1"), "printf '%s\\0' '- /etc/passwd' >>\"$tmp/rules\""),
        (Plain("10.0.0.1"), "printf '%s\\0' '- /etc/a\\[1]' >>\"$tmp/rules\""),
        (Plain("10.0.0.1"), "printf %s 'it'\"'\"'s\n' | put /etc/motd 0600"),
        (Plain("10.0.0.1"), "link /etc/a 'b c'"),
        (Plain("10.0.0.1"), "rm -rf -- \"$root\"'/etc/it'\"'\"'s/'*.old"),
        (Plain("10.0.0.1"), "check /etc/motd 0600 it"),
        (Plain("10.0.0.1"), "if touched '/boot/vmlinu[xz]-*' '/boot/vmlinu[xz]-*/*' '/etc/grub.d/*'; then"),
        (Plain("10.0.0.1"), "inside env IMAGED_NODE=n1 /var/lib/imaged/script"),
        (Plain("10.0.0.1"), '"$deleted" -gt 7'),
        (Plain("10.0.0.1"), "--delete-delay"),
        (Plain("10.0.0.1", checksum=True), "--ignore-times"),
    ],
)
def test_what_is_in_the_script(how: Plain, there: str) -> None:
    assert there in script(PLAN, ("etc/a[1]",), how)


@pytest.mark.parametrize(
    ("how", "missing"),
    [
        (Plain("a", dry_run=True), "\npull\n"),
        (Plain("a", dry_run=True), "put /etc/motd"),
        (Plain("a", delete=False), "--delete-delay"),
        (Plain("a", delete=False), "-gt 7"),
        (Plain("a", bootloader=False), "update-grub"),
        (Plain("a", confirmed=True), "-gt 7"),
        (Plain("a", confirmed=True), "os-release"),
    ],
)
def test_what_is_not_in_the_script(how: Plain, missing: str) -> None:
    assert missing not in script(PLAN, (), how)


def test_its_output() -> None:
    output = "Welcome!\n>f+++++++++ etc/new\n*deleting   old dir/\n.d..t...... ./\nimaged-plain 1 1 1 1\n"
    changes = (
        Change("add", "/etc/new", ">f+++++++++"), Change("delete", "/old dir/"), Change("change", "/./", ".d..t......"),
    )  # fmt: skip
    assert read(output, "c@2") == UpdateAnswer("c@2", "done", "", 1, 1, 1, 0, True, changes)
    for bad in ("", "imaged-plain 1 1", "imaged-plain a b c d"):
        with pytest.raises(BadInput, match="did not come to the end"):
            read(bad, "c@2")


def test_a_node_without_a_plan() -> None:
    assert refusal("it's so") == "printf '%s\\n' 'it'\"'\"'s so' >&2; exit 1\n"
