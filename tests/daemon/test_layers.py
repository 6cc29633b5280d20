"""What lies over an image, from files on the server to the parts of an update's plan."""

from pathlib import Path

import pytest

from imaged.daemon.provisioning import Provisioning
from imaged.model.errors import BadInput
from imaged.model.group import Group
from imaged.model.names import ImageRef
from imaged.store.groups import Groups
from tests.daemon.test_provisioning import clock, server, settings_in

__all__ = ["clock", "server"]


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def layers(server: Provisioning):
    node = server.nodes.get("n1")
    return server._layers.layers(node, server.images.resolve(node.image))


def test_lists_scripts_and_overrides_of_image_groups_and_node(server: Provisioning, tmp_path: Path) -> None:
    groups = Groups(server.engine)
    for name, priority in (("gpu", 1), ("lab", 9), ("other", 1)):
        groups.add(Group(name, priority))
    groups.put("n1", ("gpu", "lab"))
    with server.images.working("tiny") as working:
        write(working.tree, "etc/imaged/protect", "# licence\n/opt/licence\n")
        write(working.tree, "etc/os-release", "ID=tiny\n")
        server.images.publish(server.images.seal(working, origin="test"), "stable")
    for path, text in (
        ("overrides/group/gpu.protect", "/opt/gpu/\n"), ("overrides/group/other.protect", "/opt/other/\n"),
        ("overrides/group/gpu/etc/who", "gpu"), ("overrides/group/lab/etc/who", "lab"),
        ("scripts/post-update/10gpu.x", "#!/bin/sh\n"), ("scripts/post-update/90all.y", "#!/bin/sh\n"),
        ("scripts/post-update/10other.z", "no script, but not for us"), ("scripts/post-update/10all.x~", "backup"),
    ):  # fmt: skip
        write(tmp_path, path, text)
    found = layers(server)
    reasons = {each.pattern: each.reason for each in found.protect}
    assert reasons["/opt/licence"] == "licence"
    assert "/opt/gpu/" in reasons and "/home/" in reasons and "/opt/other/" not in reasons
    assert [script.name for script in found.scripts] == ["90all.y", "10gpu.x"]
    assert "./etc/who " in found.overrides and "./usr/lib/systemd/system/imaged-update.timer " in found.overrides
    current = server.overrides.current("n1")
    assert current is not None and (current / "etc/who").read_text() == "gpu"


def test_synced_files_are_left_alone_by_updates_and_their_list_is_part_of_the_generation(
    server: Provisioning, tmp_path: Path
) -> None:
    before = fresh(server, tmp_path)
    write(tmp_path, "syncfiles.yaml", "all: [/etc/passwd, /etc/motd]\nnode/n1: [/etc/hosts]\nnode/n2: [/etc/x]\n")
    found = layers(server)
    assert found.synced == ("/etc/hosts", "/etc/motd")
    assert {each.pattern: each.reason for each in found.protect}["/etc/motd"] == "kept by syncfiles"
    assert fresh(server, tmp_path) != before
    write(tmp_path, "syncfiles.yaml", "all: [etc/motd]\n")
    with pytest.raises(BadInput, match="absolute path") as raised:
        layers(server)
    assert raised.value.where == "syncfiles.yaml: all"


def fresh(server: Provisioning, home: Path) -> object:
    """The generation as a server sees it that looks for the first time."""
    return Provisioning(settings_in(home), lambda: 0.0)._layers.generation("n1", "tiny")


BAD = [
    ("scripts/post-update/10all.x", "echo", "#!", "scripts/post-update/10all.x"),
    ("scripts/post-update/README", "", "README", "scripts/post-update"),
    ("overrides/node/n1.protect", "/x\nhome\n", "absolute", "overrides/node/n1.protect, line 2"),
]


@pytest.mark.parametrize(("path", "text", "what", "where"), BAD)
def test_a_bad_file_is_named(server: Provisioning, tmp_path: Path, path: str, text: str, what: str, where: str) -> None:
    write(tmp_path, path, text)
    with pytest.raises(BadInput) as raised:
        layers(server)
    assert what in raised.value.what
    assert raised.value.where == where


def test_a_file_of_the_wrong_kind_in_the_place_of_a_script_or_list(server: Provisioning, tmp_path: Path) -> None:
    (tmp_path / "scripts/post-update/10all.x").mkdir(parents=True)
    with pytest.raises(BadInput, match="cannot be read"):
        layers(server)


def test_the_generation_knows_the_groups(server: Provisioning) -> None:
    groups = Groups(server.engine)
    before = server._layers.generation("n1", "tiny")
    assert server._layers.generation("n1", "tiny") == before
    groups.add(Group("gpu"))
    groups.put("n1", ("gpu",))
    assert server._layers.generation("n1", "tiny") != before
    assert server.images.resolve(ImageRef("tiny")).number == 1
