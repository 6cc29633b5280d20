"""Fixture trees: small roots as distributions lay them out, read from ``tests/data/trees``, and what became of one.

A line is ``PATH [MODE]``, ``PATH -> TARGET``, ``PATH elf`` or ``PATH program``; ``{a,b}`` names several. Lines that
begin with ``|`` are the content; without any, a file holds its own path. ``#`` begins a comment.
"""

import re
import struct
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from imaged.model.plan import (
    CheckFile,
    CopyFile,
    KeepSecret,
    MakeLink,
    MoveFile,
    RemovePath,
    RunInTarget,
    Step,
    WriteFile,
)
from imaged.model.uefi import InstallGrub
from installer import esp, tree

DATA = Path(__file__).parents[1] / "data/trees"
NAMES = tuple(sorted(path.stem for path in DATA.glob("*.tree")))
_ELF = b"\x7fELF\x02\x01" + bytes(10) + struct.pack("<HH", 2, 62)  # for x86_64 (elf(5))
_REALLY_RUN = ("mkdir", "sed")  # the image's own would do the same


def lay(name: str, root: Path) -> Path:
    """The tree ``name`` at ``root``."""
    for line, content in _entries((DATA / f"{name}.tree").read_text()):
        path, _, rest = line.partition(" ")
        for each in _expanded(path):
            _make(root, each, rest.strip(), content)
    return root


def _entries(text: str) -> Iterator[tuple[str, str | None]]:
    line, content = "", None
    for raw in (*text.splitlines(), "#"):
        if raw.startswith("|"):
            content = (content or "") + raw[2:] + "\n"
            continue
        if line:
            yield line, content
        line, content = ("" if raw.startswith("#") else raw.rstrip()), None


def _expanded(path: str) -> list[str]:
    found = re.fullmatch(r"([^{]*)\{([^}]*)\}(.*)", path)
    return [f"{found[1]}{word}{found[3]}" for word in found[2].split(",")] if found else [path]


def _make(root: Path, path: str, rest: str, content: str | None) -> None:
    at = tree.inside(root, path, follow=False)
    at.parent.mkdir(parents=True, exist_ok=True)
    if rest.startswith("-> "):
        at.symlink_to(rest[3:])
        return
    if rest == "elf":
        at.write_bytes(_ELF)
    else:
        at.write_text("#!/bin/sh\n" if rest == "program" else content if content is not None else f"{path}\n")
    at.chmod(0o755 if rest in ("elf", "program") else int(rest or "0644", 8))


def carry_out(steps: Iterable[Step], root: Path) -> list[str]:
    """The steps that change a tree, done to the one at ``root``; the programs that they would run there."""
    ran = []
    for step in steps:
        match step:
            case WriteFile():
                tree.write_file(step, root)
            case CopyFile():
                esp.copy_file(step, root)
            case MoveFile():
                tree.move_file(step, root)
            case RemovePath():
                tree.remove_path(step, root)
            case MakeLink():
                tree.make_link(step, root)
            case KeepSecret():
                tree.keep_secret(step, root, "secret")
            case CheckFile():
                pass
            case RunInTarget(argv=argv) if argv[0] in _REALLY_RUN:
                subprocess.run(_below(root, argv), check=True)
            case RunInTarget(argv=argv) | InstallGrub(argv=argv):
                ran.append(" ".join(argv))
    return ran


def _below(root: Path, argv: tuple[str, ...]) -> tuple[str, ...]:
    """Paths become those of the tree, all of them. A sed script is none, although it may begin with a slash."""
    files = argv[-1:] if argv[0] == "sed" else tuple(word for word in argv if word.startswith("/"))
    return tuple(str(tree.inside(root, word)) if word in files else word for word in argv)


def run_fakes(steps: Iterable[Step], root: Path, fakes: dict[str, str]) -> list[str]:
    """Programs of the tree that were really started, by the steps or by one another: those of ``fakes``, by name.

    Each is a shell script that says its own arguments and then goes on with the lines given. Steps that run anything
    else are passed over: it would be this machine's.
    """
    programs, log = root / "usr/fakes", root / "log"
    programs.mkdir(parents=True)
    log.touch()
    for name, lines in fakes.items():
        (programs / name).write_text(f'#!/bin/sh\nset -e\necho "{name} $*" >>{log}\n{lines}\n')
        (programs / name).chmod(0o755)
    for step in steps:
        argv = step.argv if isinstance(step, RunInTarget) else ()
        if argv and (argv[0] in fakes or (argv[0] == "env" and argv[2] in fakes)):
            start = argv if argv[0] == "env" else ("env", *argv)
            subprocess.run(("/usr/bin/env", *start[1:]), check=True, env={"PATH": str(programs)})
    return log.read_text().splitlines()


State = dict[str, tuple[str, bytes]]


def state(root: Path) -> State:
    """Every path that is no directory, with its mode (links: none) and what it holds or points to."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            found[f"/{path.relative_to(root)}"] = ("link", str(path.readlink()).encode())
        elif path.is_file():
            found[f"/{path.relative_to(root)}"] = (f"{path.stat().st_mode & 0o7777:04o}", path.read_bytes())
    return found


def difference(before: State, after: State) -> str:
    """What was removed, added and changed, with the content that is there now."""
    lines = [f"removed {path}" for path in before if path not in after]
    for path, (mode, content) in after.items():
        if before.get(path) == (mode, content):
            continue
        verb = "changed" if path in before else "added"
        if mode == "link":
            lines.append(f"{verb} {path} -> {content.decode()}")
            continue
        lines.append(f"{verb} {path} {mode}")
        lines += [f"    {line}".rstrip() for line in content.decode().splitlines()]
    return "\n".join(lines) + "\n"
