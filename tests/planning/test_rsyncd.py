"""The configuration and the arguments of the rsync daemon of one connection."""

from pathlib import Path

import pytest

from imaged.model.errors import BadInput
from imaged.model.transfer import Module
from imaged.planning.rsyncd import Fitness, argv, configuration, fitness

TREE = Module("image", Path("/var/lib/imaged/images/compute/3/tree"))
LOG = Path("/var/lib/imaged/logs/rsyncd.log")


def parsed(text):
    """Sections of an rsyncd.conf; the settings before the first one are under ''."""
    sections, current = {"": {}}, ""
    for line in text.splitlines():
        if line.startswith("["):
            current = line.strip("[]")
            sections[current] = {}
        else:
            key, value = line.split(" = ", 1)
            assert key not in sections[current]
            sections[current][key] = value
    return sections


@pytest.mark.parametrize(("as_root", "chroot", "owner"), [(True, "yes", {"uid": "0", "gid": "0"}), (False, "no", {})])
def test_configuration(as_root, chroot, owner):
    sections = parsed(configuration((TREE,), timeout=600, as_root=as_root, log=LOG))
    refused = sections[""].pop("refuse options").split()
    assert sections == {
        "": {
            "log file": str(LOG), "max verbosity": "1", "reverse lookup": "no", "forward lookup": "no", "list": "no",
            "read only": "yes", "numeric ids": "yes", "munge symlinks": "no", "use chroot": chroot, "timeout": "600",
            **owner,
        },
        "image": {"path": str(TREE.path)},
    }  # fmt: skip
    assert refused[0] == "*"
    assert all(option.startswith("!") for option in refused[1:])
    assert {"!a", "!H", "!A", "!X", "!S", "!numeric-ids", "!whole-file", "!inplace"} <= set(refused)
    for dangerous in ("copy-links", "L", "k", "copy-unsafe-links", "checksum", "c", "max-alloc", "write-devices"):
        assert f"!{dangerous}" not in refused


def test_only_what_was_granted_is_there():
    modules = (TREE, Module("overrides", Path("/srv/my overrides")))
    sections = parsed(configuration(modules, timeout=60, as_root=True, log=LOG))
    assert {name: keys for name, keys in sections.items() if name} == {
        "image": {"path": str(TREE.path)},
        "overrides": {"path": "/srv/my overrides"},
    }


@pytest.mark.parametrize(
    "path", ["/a\nuid = 0", "/a\rb", "/a\0b", "/%HOME%/x", "/a\\", "/a ", "/a\x7f", "/tree\n[secrets]\npath = /etc"]
)
def test_a_path_that_would_mean_something_else_is_refused(path):
    with pytest.raises(BadInput, match="cannot spell"):
        configuration((Module("image", Path(path)),), timeout=60, as_root=True, log=LOG)
    with pytest.raises(BadInput, match="cannot spell"):
        configuration((TREE,), timeout=60, as_root=True, log=Path(path))


@pytest.mark.parametrize("name", ["", "a]b", "a\nb", "../x", "global section", "#list"])
def test_a_module_name_that_would_mean_something_else_is_refused(name):
    with pytest.raises(BadInput):
        configuration((Module(name, Path("/x")),), timeout=60, as_root=True, log=LOG)


def test_argv():
    assert argv("/opt/rsync", Path("/run/c 1.conf")) == ("/opt/rsync", "--daemon", "--config=/run/c 1.conf")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rsync  version 3.5.0  protocol version 32\n", ("3.5.0", Fitness.FIT)),
        ("rsync  version 4.0.1  protocol version 33\n", ("4.0.1", Fitness.FIT)),
        ("rsync  version v3.4.1  protocol version 32\n", ("3.4.1", Fitness.OLD)),
        ("rsync  version 3.2.0pre1  protocol version 31\n", ("3.2.0", Fitness.OLD)),
        ("rsync  version 3.1.3  protocol version 31\n", ("3.1.3", Fitness.UNFIT)),
        ("rsync  version 2.6.9  protocol version 29\n", ("2.6.9", Fitness.UNFIT)),
        ("openrsync: protocol version 29\nrsync version 2.6.9 compatible\n", ("2.6.9", Fitness.UNFIT)),
        ("", ("unknown", Fitness.UNFIT)),
    ],
)
def test_fitness(text, expected):
    assert fitness(text) == expected
