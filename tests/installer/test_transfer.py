"""rsync's arguments, how far it is, and what its end means."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from attrs import define, field

from imaged.model.errors import CommandFailed
from imaged.model.plan import SyncOverrides, SyncTree
from installer.process import Completed
from installer.transfer import PAUSES, Source, Verdict, argv, sync_tree, used, verdict

ROOT = SyncTree("compute@3", "/", 1000, 10, exclude=("/boot/efi/*",))
ESP = SyncTree("compute@3", "/boot/efi", 0, 0, foreign=True)
SOURCE = Source("10.0.0.1", 8873, "node07", "s-3_cret")


@pytest.mark.parametrize(
    ("step", "has", "last"),
    [
        (ROOT, {"-aHAXS", "--numeric-ids", "--whole-file", "--exclude=/boot/efi/*"},
         ("rsync://imaged/image/", "/target/")),
        (ESP, {"-rt", "--modify-window=2", "--include=/boot/", "--include=/boot/efi/***", "--exclude=*"},
         ("rsync://imaged/image/", "/target/")),
    ],
)  # fmt: skip
def test_argv(step: SyncTree, has: set[str], last: tuple[str, str]) -> None:
    given = argv(step, Path("/target"))
    assert has <= set(given)
    assert given[-2:] == last
    assert ("-aHAXS" in given) != step.foreign


RULES = ("+ /opt/sim/", "- /opt/*", "- *.bak")


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (SyncTree("i@1", "/", 0, 0, exclude=("/boot/efi/*",), rules=RULES),
         {"boot", "boot/efi", "etc", "etc/x", "opt", "opt/sim", "opt/sim/a"}),
        (SyncTree("i@1", "/boot/efi", 0, 0, foreign=True, rules=RULES), {"boot", "boot/efi", "boot/efi/x"}),
    ],
    ids=["tree", "foreign"],
)  # fmt: skip
def test_rsync_itself_leaves_out_what_the_rules_say(tmp_path: Path, step: SyncTree, expected: set[str]) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    target.mkdir()
    for name in ("boot/efi/x", "boot/efi/x.bak", "etc/x", "etc/x.bak", "opt/sim/a", "opt/sim/b.bak", "opt/other/c"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).touch()
    given = [word.replace("rsync://imaged/image/", f"{source}/") for word in argv(step, target)]
    subprocess.run(given, check=True)
    assert {str(path.relative_to(target)) for path in target.rglob("*")} == expected


def test_the_secret_is_no_argument() -> None:
    assert SOURCE.environment == {"RSYNC_PROXY": "node07:s-3_cret@10.0.0.1:8873"}


def test_how_far_it_is(tmp_path: Path) -> None:
    """Whole blocks, and whatever else writes to that filesystem meanwhile: at least what we wrote is there."""
    before = used(tmp_path)
    with (tmp_path / "file").open("wb") as file:
        file.write(bytes(64 << 20))
        file.flush()
        os.fsync(file.fileno())
        assert used(tmp_path) - before > 32 << 20


PROXY = "bad response from proxy -- HTTP/1.0 "


@pytest.mark.parametrize(
    ("code", "errors", "expected", "said"),
    [
        (0, "", Verdict.DONE, ""),
        (10, "rsync: failed to connect to 10.0.0.1: Connection refused (111)", Verdict.AGAIN, "ended with 10"),
        (10, f"{PROXY}503 Service Unavailable", Verdict.AGAIN, "503"),
        (10, f"{PROXY}403 Forbidden", Verdict.FAILED, "the server answered 403 Forbidden"),
        (12, "rsync: connection unexpectedly closed (123 bytes received so far) [receiver]", Verdict.AGAIN, "12"),
        (12, "rsync: write failed on \"/target/x\": No space left on device (28)", Verdict.FAILED, "at / is full"),
        (11, "rsync: write failed on \"/target/x\": No space left on device (28)", Verdict.FAILED, "at / is full"),
        (23, "rsync: mkdir failed: No space left on device (28)", Verdict.FAILED, "at / is full"),
        (23, "rsync: [receiver] rsync_xal_set: lsetxattr failed", Verdict.FAILED, "some files"),
        (24, "file has vanished", Verdict.AGAIN, "24"),
        (30, "", Verdict.AGAIN, "30"),
        (35, "", Verdict.AGAIN, "35"),
        (255, "", Verdict.AGAIN, "255"),
        (-9, "", Verdict.AGAIN, "signal 9"),
        (5, "rsync: did not see server greeting", Verdict.AGAIN, "5"),
        (5, "@ERROR: max connections (4) reached -- try again later", Verdict.AGAIN, "max connections"),
        (5, "@ERROR: Unknown module 'image'", Verdict.FAILED, "Unknown module"),
        (1, "rsync: --frobnicate: unknown option", Verdict.FAILED, "ended with 1"),
        (127, "", Verdict.FAILED, "127"),
    ],
)  # fmt: skip
def test_verdict(code: int, errors: str, expected: Verdict, said: str) -> None:
    outcome, reason = verdict(code, errors, "/")
    assert outcome is expected
    assert said in reason


@define
class Ends:
    """Stands where Processes does: each attempt ends with the next of ``codes``, the last for ever."""

    codes: list[int]
    errors: str = ""
    events: list[object] = field(factory=list)

    def log(self, line: str) -> None:
        self.events.append(("log", line))

    def watch(
        self, argv: Sequence[str], tick: Callable[[], None], *, env: Mapping[str, str] | None = None
    ) -> Completed:
        tick()
        code = self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]
        self.events.append(("rsync", code))
        return Completed(tuple(argv), code, "", self.errors)


def sync(ends: Ends, root: Path) -> None:
    def note(kind: str) -> Callable[[object], None]:
        return lambda value: ends.events.append((kind, value))

    sync_tree(
        ROOT, root, SOURCE, ends,  # type: ignore[arg-type]
        progress=note("progress"), say=note("say"), sleep=note("sleep"),
    )  # fmt: skip


def test_again_until_done(tmp_path: Path) -> None:
    ends = Ends([10, -9, 0])
    sync(ends, tmp_path)
    assert [each for each in ends.events if each[0] in ("rsync", "sleep")] == [  # type: ignore[index]
        ("rsync", 10), ("sleep", 1), ("rsync", -9), ("sleep", 2), ("rsync", 0)
    ]  # fmt: skip
    assert ("say", "transfer of / interrupted (rsync was killed by signal 9), again in 2 s") in ends.events
    assert [each for each in ends.events if each[0] == "progress"]  # type: ignore[index]


def test_not_for_ever(tmp_path: Path) -> None:
    ends = Ends([12], "rsync: connection unexpectedly closed")
    with pytest.raises(CommandFailed, match="connection unexpectedly closed"):
        sync(ends, tmp_path)
    assert ends.events.count(("rsync", 12)) == len(PAUSES) + 1


def test_full_disk_is_final_and_said_plainly(tmp_path: Path) -> None:
    ends = Ends([11], 'rsync: [receiver] write failed on "/target/x": No space left on device (28)')
    with pytest.raises(CommandFailed, match="the filesystem at / is full"):
        sync(ends, tmp_path)
    assert ends.events.count(("rsync", 11)) == 1


def test_overrides_are_laid_over_and_never_delete(tmp_path: Path) -> None:
    over = argv(SyncOverrides(exclude=("/boot/efi/*",)), tmp_path)
    assert over == (
        "rsync", "--whole-file", "--ignore-times", "--modify-window=-1", "-aHAXS", "--numeric-ids",
        "--exclude=/boot/efi/*", "rsync://imaged/overrides/", f"{tmp_path}/",
    )  # fmt: skip
    esp = argv(SyncOverrides("/boot/efi", foreign=True), tmp_path)
    assert esp[-2:] == ("rsync://imaged/overrides/", f"{tmp_path}/")
    assert esp.index("--modify-window=2") > esp.index("--modify-window=-1"), "the last one counts"
