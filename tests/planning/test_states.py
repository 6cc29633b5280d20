"""State scripts: who may ask when, what scripts are told, and the shell script that nodes get of what they print."""

import shutil
import subprocess
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from attrs import evolve

from imaged.model.errors import BadInput, Conflict
from imaged.model.names import ImageRef
from imaged.model.net import Mac
from imaged.model.node import Node, NodeState
from imaged.model.override import Wanted
from imaged.model.states import ScriptEnd, StateRun, state_name
from imaged.planning.states import fault_of, refuse, together, variables
from tests.planning.test_install import VERSION

NODE = Node("gpu07", (Mac.parse("52:54:00:00:00:07"),), ImageRef("compute"), address=IPv4Address("10.0.0.7"))
SHELLS = [("dash",), ("bash",), ("busybox", "sh")]


@pytest.mark.parametrize(
    ("state", "now"),
    [
        ("installing", NodeState.INSTALLING), ("installed", NodeState.INSTALLING), ("failed", NodeState.FAILED),
        ("ready", NodeState.READY), ("daily", NodeState.READY),
    ],
)  # fmt: skip
def test_a_node_asks_for_what_it_has_come_to(state: str, now: NodeState) -> None:
    refuse(state, now)
    for other in NodeState:
        if other is not now:
            with pytest.raises(Conflict, match=f"a node that is {other.value} does not ask"):
                refuse(state, other)


@pytest.mark.parametrize("state", ["drain", "", "ready ", "../ready"])
def test_other_states_are_for_people(state: str) -> None:
    for now in NodeState:
        with pytest.raises(Conflict):
            refuse(state, now)


@pytest.mark.parametrize("text", ["", "Ready", "..", "a/b", "1st", "x" * 33, "re ady", "réady"])
def test_what_is_no_word(text: str) -> None:
    with pytest.raises(BadInput):
        state_name(text)


def test_variables_have_both_names() -> None:
    found = variables(Wanted(NODE, VERSION, ("lab", "gpu"), "http://10.0.0.1:8080", "cluster"), "ready")
    assert {name: found[name] for name in ("IMAGED_NODE", "NODENAME", "HOSTNAME")} == {
        "IMAGED_NODE": "gpu07", "NODENAME": "gpu07", "HOSTNAME": "gpu07",
    }  # fmt: skip
    assert (found["IMAGED_STATE"], found["STATE"]) == ("ready", "ready")
    assert (found["GROUPNAMES"], found["GROUPNAME"]) == ("lab gpu", "gpu")
    assert (found["NODEID"], found["IPADDR"], found["IMAGESERVER"]) == ("52:54:00:00:00:07", "10.0.0.7", "10.0.0.1")
    assert (found["VNFS"], found["IMAGED_VERSION"]) == (VERSION.image, str(VERSION.number))
    without = variables(Wanted(evolve(NODE, macs=(), address=None), VERSION), "ready")
    assert (without["NODEID"], without["GROUPNAME"], without["IPADDR"]) == ("", "", "")


@pytest.mark.parametrize(
    ("printed", "fault"),
    [("", ""), ("echo grüße\n", ""), ("a\0b", "printed a zero byte"), ("\udcff", "printed what is not UTF-8")],
)
def test_what_no_shell_can_read(printed: str, fault: str) -> None:
    assert fault_of(printed) == fault


@pytest.mark.parametrize("printed", [(), (("10all.a", ""), ("20all.b", " \n\n"))])
def test_nothing_printed_is_nothing_to_run(printed: tuple[tuple[str, str], ...]) -> None:
    assert together("n1", "ready", printed) == ""


def run(shell: tuple[str, ...], text: str, home: Path) -> tuple[int, str, str]:
    """As a node does, but for /run, which is ``home``."""
    if not shutil.which(shell[0]):
        pytest.skip(f"{shell[0]} is not installed")
    (home / "text").write_text(text.replace("/run/", f"{home}/"))
    done = subprocess.run(
        (*shell, home / "text"), capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL
    )
    assert not list(home.glob("imaged-*")), "what may hold secrets is gone"
    return done.returncode, done.stdout, done.stderr


PARTS = [
    ("each has its own end", ("echo one; exit 0", "exit 3\n", "echo three\n"),
     1, "p0:\none\np1:\np1 ended with 3\np2:\nthree\n"),
    ("one that no shell understands", ("echo 'one", "if", "echo three"), 1, None),
    ("nothing is quoted, nothing is expanded", ("echo '$HOME' \\\\ \"it's\" `echo x`",), 0, "p0:\n$HOME \\ it's x\n"),
    ("input of their own", ("cat", "read x || echo empty"), 0, "p0:\np1:\nempty\n"),
    ("here documents", ("cat << END-OF\nEND\n}\nEND-OF",), 0, "p0:\nEND\n}\n"),
    ("no variables of each other", ("x=1; export x", "echo ${x-none}"), 0, "p0:\np1:\nnone\n"),
    ("who and what", ("echo $IMAGED_NODE $IMAGED_STATE",), 0, "p0:\nn1 ready\n"),
    ("the last thing is a background process", ("true & wait", "true #"), 0, "p0:\np1:\n"),
    ("not ASCII", ("echo grüße",), 0, "p0:\ngrüße\n"),
]  # fmt: skip


@pytest.mark.processes
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize(("_", "printed", "code", "said"), PARTS, ids=[each[0] for each in PARTS])
def test_in_their_order(
    shell: tuple[str, ...], _: str, printed: tuple[str, ...], code: int, said: str | None, tmp_path: Path
) -> None:
    text = together("n1", "ready", [(f"p{number}", each) for number, each in enumerate(printed)])
    found, output, _errors = run(shell, text, tmp_path)
    assert found == code
    if said is None:
        assert [line for line in output.splitlines() if "ended" not in line] == ["p0:", "p1:", "p2:", "three"]
        assert output.count("ended with") == 2
    else:
        assert output == said


@pytest.mark.processes
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_what_was_cut_short_runs_nothing(shell: tuple[str, ...], tmp_path: Path) -> None:
    text = together("n1", "ready", [("a", f"touch {tmp_path}/ran; echo ran"), ("b", "echo ran")])
    for end in range(0, text.rindex("}"), 7):
        _code, output, _errors = run(shell, text[:end], tmp_path)
        assert output == ""
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("run", "over", "trouble"),
    [
        (StateRun("n1", "ready", "r", 0.0), True, ""),
        (StateRun("n1", "ready", "r", 0.0, fault="README: no such names are run"), True,
         "README: no such names are run"),
        (StateRun("n1", "ready", "r", 0.0, (ScriptEnd("a", 7), ScriptEnd("b", 0, "ended with 1")), text="x"), False,
         "b: ended with 1"),
        (StateRun("n1", "ready", "r", 0.0, (ScriptEnd("a", 7),), code=0), True, ""),
        (StateRun("n1", "ready", "r", 0.0, (ScriptEnd("b", 0, "gave up after 60 s"),), code=2), True,
         "b: gave up after 60 s; ended with 2 on the node"),
    ],
)  # fmt: skip
def test_how_a_run_went(run: StateRun, over: bool, trouble: str) -> None:
    assert (run.over, run.trouble) == (over, trouble)
    assert "s3cret" not in repr(evolve(run, text="s3cret"))
