"""``syncfiles``: lists read and chosen, users filtered, questions made, answers understood."""

import base64
import json
from typing import Any

import pytest

from imaged.model.errors import BadInput
from imaged.model.syncfile import Done, Item, Ran, Synced, SyncFile
from imaged.planning.syncfiles import (
    answer,
    check_path,
    chosen,
    differs,
    failed,
    people,
    question,
    read,
    report,
    wanting,
)

HOSTS, MOTD = SyncFile("/etc/hosts"), SyncFile("/etc/motd", source="/srv/motd")


def test_a_list_by_layers() -> None:
    slurm = {"path": "/etc/slurm.conf", "source": "/srv/slurm.conf", "owner": "slurm:slurm", "mode": "0640",
             "then": "scontrol reconfigure"}  # fmt: skip
    assert read({"all": ["/etc/hosts"], "group/gpu": [slurm], "node/n1": None}, "l") == {
        "all": (HOSTS,),
        "group/gpu": (
            SyncFile("/etc/slurm.conf", "/srv/slurm.conf", "slurm:slurm", "0640", "scontrol reconfigure"),
        ),
        "node/n1": (),
    }  # fmt: skip
    assert read(None, "l") == {}


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ([], "not a mapping"),
        ({"everyone": []}, "'everyone' is no layer"),
        ({"group/": []}, "no layer"),
        ({"group/../x": []}, "no layer"),
        ({"all": ["etc/hosts"]}, "not the absolute path"),
        ({"all": ["/etc/"]}, "not the absolute path"),
        ({"all": ["/etc/../x"]}, "not the absolute path"),
        ({"all": [{"path": "/a", "source": "b"}]}, "'b' is not the absolute path"),
        ({"all": [{"path": "/a", "mod": "0644"}]}, "did you mean 'mode'"),
        ({"all": [{"path": "/a", "mode": 644}]}, "expected a string"),
        ({"all": [{"path": "/a", "mode": "0999"}]}, "no mode"),
        ({"all": [{"path": "/a", "owner": "a b"}]}, "not USER"),
        ({"all": [{"path": "/a", "then": "a\nb"}]}, "one line"),
        ({"all": [{"path": "/a", "ids": "all"}]}, "ids are for /etc/passwd"),
        ({"all": [{"path": "/etc/passwd", "ids": "1000"}]}, "not FIRST-LAST"),
        ({"all": [{"path": "/etc/passwd", "mode": "0600"}]}, "keep the owner and mode"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(data: Any, what: str) -> None:
    with pytest.raises(BadInput) as raised:
        read(data, "syncfiles.yaml")
    assert what in str(raised.value)
    assert raised.value.where.startswith("syncfiles.yaml")


LISTS = {"all": (HOSTS, MOTD), "group/gpu": (SyncFile("/etc/hosts", "/srv/gpu-hosts"),), "node/n1": (SyncFile("/x"),)}
LAYERS = ("all", "image/c", "group/gpu", "node/n1")


@pytest.mark.parametrize(
    ("layers", "only", "expected"),
    [
        (("all",), (), (HOSTS, MOTD)),
        (LAYERS, (), (SyncFile("/etc/hosts", "/srv/gpu-hosts"), MOTD, SyncFile("/x"))),
        (LAYERS, ("/etc/motd", "/etc/motd"), (MOTD,)),
        (LAYERS, ("/etc/issue",), (SyncFile("/etc/issue"),)),
        (("all",), ("/etc/shadow",), (SyncFile("/etc/passwd"), SyncFile("/etc/shadow"))),
        (("image/other",), (), ()),
    ],
)
def test_the_last_layer_wins(layers: tuple[str, ...], only: tuple[str, ...], expected: tuple[SyncFile, ...]) -> None:
    assert chosen(LISTS, layers, only) == expected


@pytest.mark.parametrize("path", ["", "/", "x", "/a/", "/a/../b", "/a/./b", "/a\nb", "/a\x1b"])
def test_no_paths(path: str) -> None:
    with pytest.raises(BadInput):
        check_path(path, "x")


PASSWD = b"root:x:0:0::/root:/bin/sh\nsshd:x:110:65534::/:/x\nann:x:1000:1000::/home/ann:/bin/sh\n+::::::\nodd\n"
FILES = {
    "/etc/passwd": PASSWD,
    "/etc/shadow": b"root:*:1::::::\nsshd:!:1::::::\nann:$6$x:1::::::\n",
    "/etc/subuid": b"ann:100000:65536\nann:200000:65536\nbob:1:1\n",
    "/etc/group": b"root:x:0:\nusers:x:100:ann\nann:x:1000:\n",
    "/etc/gshadow": b"root:*::\nann:!::\n",
    "/etc/hosts": b"root:x:0:0\n",
}


@pytest.mark.parametrize(
    ("users", "groups", "names", "shadow", "members"),
    [
        ("", "", [b"ann"], [b"ann"], [b"ann"]),
        ("all", "", [b"root", b"sshd", b"ann"], [b"root", b"sshd", b"ann"], [b"ann"]),
        ("100-199", "100-1000", [b"sshd"], [b"sshd"], [b"users", b"ann"]),
    ],
)
def test_people_go_and_daemons_stay(
    users: str, groups: str, names: list[bytes], shadow: list[bytes], members: list[bytes]
) -> None:
    files = [SyncFile(path) for path in FILES if path not in ("/etc/passwd", "/etc/group")]
    files += [SyncFile("/etc/passwd", ids=users), SyncFile("/etc/group", ids=groups)]
    found = people(files, FILES)

    def said(path: str) -> list[bytes]:
        return [line.partition(b":")[0] for line in found[path].splitlines()]

    assert (said("/etc/passwd"), said("/etc/shadow"), said("/etc/group")) == (names, shadow, members)
    assert said("/etc/subuid") == [b"ann"] * 2 * (b"ann" in names)
    assert said("/etc/gshadow") == [name for name in members if name != b"users"]
    assert found["/etc/hosts"] == FILES["/etc/hosts"]


def item(path: str, *, merge: bool = False) -> Item:
    return Item(path, "sum", "root", "root", "0644", merge, "", b"content of " + path.encode())


ITEMS = (item("/a"), item("/b"), item("/c"), item("/etc/group", merge=True), item("/etc/passwd", merge=True))


def synced(*actions: str) -> Synced:
    return Synced(tuple(Done(each.path, action) for each, action in zip(ITEMS, actions, strict=True)))


@pytest.mark.parametrize(
    ("actions", "look", "todo", "sent"),
    [
        (("same",) * 5, False, "", ""),
        (("same", "change", "attributes", "same", "same"), False, "/b /c", "/b"),
        (
            ("add", "failed", "same", "same", "merge"),
            False,
            "/a /b /etc/group /etc/passwd",
            "/a /etc/group /etc/passwd",
        ),
        (("add", "same", "same", "merge", "same"), True, "/a /etc/group /etc/passwd", "/etc/group /etc/passwd"),
    ],
)
def test_only_what_differs_is_sent(actions: tuple[str, ...], look: bool, todo: str, sent: str) -> None:
    wanted, contents = wanting(ITEMS, synced(*actions), look=look)
    assert " ".join(each.path for each in wanted) == todo
    assert " ".join(sorted(contents)) == sent
    asked = json.loads(question(wanted, contents, "then"))
    assert asked["then"] == "then"
    for each in asked["files"]:
        content = base64.b64decode(each["content"]) if each["content"] else None
        assert content == (f"content of {each['path']}".encode() if each["path"] in contents else None)


def test_an_answer_behind_what_a_profile_prints() -> None:
    found = answer('hello\n{"files": [{"path": "/a", "action": "same", "message": ""}], "said": [], "ran": []}\n')
    assert found == Synced((Done("/a", "same"),))
    assert (differs(found), failed(found), report(found, look=False)) == (False, False, ())
    with pytest.raises(BadInput):
        answer("hello")


def test_what_people_read() -> None:
    found = Synced(
        (Done("/a", "add"), Done("/b", "same"), Done("/c", "failed", "is a directory here"), Done("/d", "attributes")),
        ("/etc/passwd: ann: field 7 differs, the node's is kept",),
        (Ran("true", 0), Ran("reload", 3, "why\nwhy not")),
    )
    assert (differs(found), failed(found)) == (True, True)
    assert report(found, look=False) == (
        "added /a", "FAILED /c: is a directory here", "owner, mode /d",
        "/etc/passwd: ann: field 7 differs, the node's is kept",
        "ran true", "FAILED reload: ended with 3", "  why", "  why not",
    )  # fmt: skip
    assert report(Synced((Done("/a", "add"),)), look=True) == ("add /a",)
