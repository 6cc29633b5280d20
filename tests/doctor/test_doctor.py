"""The doctor on real directories and databases: found, said, mended, and nothing changed without being asked."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from imaged.cli.main import imaged
from imaged.model.codec import to_json
from imaged.ramdisk.build import read_ramdisk
from imaged.store import locks
from imaged.store.database import open_database
from imaged.store.images import Images
from imaged.store.nodes import Nodes
from tests.cli.test_mkramdisk import needs_cache
from tests.doctor.site import Site, model, of, process, server

__all__ = ["model", "server"]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
BAD = ("warning", "error")
KEPT = ("rights", "database", "images", "nodes", "files", "rules", "ramdisk", "programs", "leases")


def bad(found: list[dict[str, str]]) -> list[str]:
    return [line for check in KEPT for line in of(found, check, *BAD)]


def fingerprint(root: Path) -> str:
    """Of every path, its mode, and its content."""
    hashed = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.name.endswith(("-wal", "-shm")):
            continue
        hashed.update(f"{path} {path.lstat().st_mode}\n".encode())
        hashed.update(path.read_bytes() if path.is_file() else b"")
    return hashed.hexdigest()


def test_a_server_that_is_well(server: Site) -> None:
    before = fingerprint(server.state.root)
    code, found = server.doctor()
    assert bad(found) == []
    looked_at = {"settings", "network", "ports", "space", "clock", "limits", *KEPT} - {"leases", "rules"}
    assert {each["check"] for each in found} >= looked_at
    assert code == 0, [each for each in found if each["level"] == "error"]
    assert fingerprint(server.state.root) == before, "a look changes nothing"


def wrong_modes(server: Site) -> None:
    server.state.database.chmod(0o644)
    (server.state.images / "tiny").chmod(0o755)
    server.state.root.chmod(0o777)


def no_ramdisk(server: Site) -> None:
    (server.state.boot / "ramdisk/x86_64/initrd.img").unlink()


def no_loaders(server: Site) -> None:
    for path in (server.state.boot / "loaders").iterdir():
        path.unlink()


def old_agent(server: Site) -> None:
    path = server.state.boot / "ramdisk/x86_64/ramdisk.json"
    ramdisk = read_ramdisk(path.parent)
    path.write_text(to_json(ramdisk).replace(ramdisk.agent, "0" * 16).replace(ramdisk.dialect, "1" * 16))


def old_kernel(server: Site) -> None:
    images = Images(server.state.images)
    with images.working("tiny", copy_of=images.versions("tiny")[0]) as working:
        for name in ("lib/modules", "boot"):
            (working.tree / name).mkdir(exist_ok=True)
        (working.tree / "lib/modules/6.9").mkdir()
        (working.tree / "lib/modules/6.9/modules.dep").write_text("")
        (working.tree / "boot/vmlinuz-6.9").write_text("x")
        images.publish(images.seal(working, origin="test"), "stable")


def orphans(server: Site) -> None:
    server.sql(
        "INSERT INTO nics (mac, node, position) VALUES ('52:54:00:00:00:77', 'gone', 0)",
        "INSERT INTO members (node, \"group\") VALUES ('gone', 'gone')",
    )


def no_image(server: Site) -> None:
    server.sql("UPDATE nodes SET image = 'none@stable', layout = 'none'")


def dangling_channel(server: Site) -> None:
    (server.state.images / "tiny/channels/stable").write_text("7\n")


def damaged_channel(server: Site) -> None:
    (server.state.images / "tiny/channels/canary").write_text("seven\n")


def half_a_version(server: Site) -> None:
    (server.state.images / "tiny/2/tree").mkdir(parents=True)
    (server.state.images / "tiny/1/manifest.mtree").unlink()


def leftovers(server: Site) -> None:
    for name in (".working", ".gone-3-77", ".resumable", ".edit"):
        (server.state.images / "tiny" / name / "tree").mkdir(parents=True)
    (server.state.images / ".gone-old-7/1/tree").mkdir(parents=True)


def names_of_nobody(server: Site) -> None:
    for path in ("overrides/node/n9", "overrides/group/gpu", "overrides/all", "scripts/post-install",
                 "scripts/state/ready"):  # fmt: skip
        (server.state.root / path).mkdir(parents=True)
    (server.state.root / "scripts/post-install/10n9.x").write_text("#!/bin/sh\n")
    (server.state.root / "scripts/post-install/10all.x").write_text("#!/bin/sh\n")
    (server.state.root / "scripts/state/ready/10gpu.x").write_text("#!/bin/sh\n")


def secrets_for_all(server: Site) -> None:
    server.write("address: 127.0.0.1", "webhooks: [{url: 'http://10.0.0.9/', secret: abcdefghijklmnop}]")
    script = server.state.root / "scripts/state/ready/10all.x"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o777)


def bad_rules(server: Site) -> None:
    server.state.rules.write_text("rules: [{name: a, match: {mac: zz}, become: {names: n1, image: tiny}}]\n")


def hollow_rules(server: Site) -> None:
    server.state.rules.write_text(
        "rules:\n- {name: a, match: {}, become: {names: n2, image: none, groups: [g]}}\n"
        "- {name: b, match: {}, become: {names: n1, image: tiny}}\n"
    )


def garbage(server: Site) -> None:
    server.state.database.write_bytes(b"this is no database\n" * 500)


def another_schema(server: Site) -> None:
    server.sql("UPDATE meta SET value = '99' WHERE key = 'schema'")


def old_rsync(server: Site) -> None:
    program = server.root / "rsync"
    program.write_text("#!/bin/sh\necho 'rsync  version 3.1.3  protocol version 31'\n")
    program.chmod(0o755)
    server.write("address: 127.0.0.1", f"rsync: {{program: {program}}}")


def address_of_the_server(server: Site) -> None:
    server.write("address: 10.0.0.1", "dhcp: {subnets: [{network: 10.0.0.0/24}]}")
    server.sql("UPDATE nodes SET address = '10.0.0.1'")


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        (wrong_modes, ["state: others may write to it", "imaged.sqlite: holds secrets", "images/tiny: holds"]),
        (secrets_for_all, ["imaged.yaml: holds secrets", "state/ready/10all.x: others may write to it"]),
        (no_ramdisk, ["ramdisk x86_64: there is none that is whole"]),
        (no_loaders, ["loaders/undionly.kpxe: no machine", "loaders/snponly.efi or loaders/shimx64.efi: no"]),
        (old_agent, ["ramdisk x86_64: its agent and this server speak differently"]),
        (old_kernel, ["ramdisk x86_64: has kernel 6.1, image:tiny@stable has 6.9 by now"]),
        (orphans, ["2 rows of members belong", "1 rows of nics belong to rows that are gone"]),
        (no_image, ["image none@stable: n1: there is no image 'none'", "layout none: n1: there is no layout 'none'"]),
        (dangling_channel, ["tiny@stable: it means version 7", "image tiny@stable: n1: image tiny has no"]),
        (damaged_channel, ["tiny@canary: its file holds no number", "image tiny@stable: n1: is not a channel"]),
        (half_a_version, ["tiny@1: its manifest is not there", "tiny@2: version.json cannot be read"]),
        (leftovers, [".gone-old-7: a removal was", ".gone-3-77: a removal", "tiny/.working: a build was"]),
        (names_of_nobody, ["overrides/group/gpu: there", "overrides/node/n9: there", "post-install/10n9.x: is for no",
                           "scripts/state/ready/10gpu.x: is for no"]),
        (bad_rules, ["rules.yaml: rules[0].match.mac: 'zz' is not how a MAC begins"]),
        (hollow_rules, ["rule a: there is no image 'none'; there is no group 'g'", "rule b: every name of n1 is"]),
        (garbage, ["imaged.sqlite: cannot be read: file is not a database"]),
        (another_schema, ["imaged.sqlite: has schema 99, this program knows 1"]),
        (old_rsync, ["rsync: is 3.1"]),
        (address_of_the_server, ["n1: 10.0.0.1 is no address of our subnets that a node may have"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_what_is_broken_is_found(server: Site, break_it, expected) -> None:
    break_it(server)
    code, found = server.doctor()
    lines = bad(found)
    for text in expected:
        assert any(text in line for line in lines), lines
    assert len(lines) == len(expected), lines
    assert code == any(each["level"] == "error" for each in found)


def test_a_database_whose_pages_are_damaged(server: Site) -> None:
    server.sql(*(f"INSERT INTO meta (key, value) VALUES ('k{number}', '{'v' * 500}')" for number in range(200)))
    server.sql("PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA journal_mode=DELETE")
    content = bytearray(server.state.database.read_bytes())
    content[8 * 4096 + 100 : 14 * 4096] = b"\xa5" * (6 * 4096 - 100)
    server.state.database.write_bytes(content)
    code, found = server.doctor()
    (line,) = of(found, "database", *BAD)
    assert "is damaged" in line or "malformed" in line
    assert code == 1 and of(found, "nodes", *BAD, "ok") == [], "what it says is not believed"


def test_who_works_in_a_tree_is_left_alone(server: Site) -> None:
    leftovers(server)
    with locks.alone(server.state.images / "tiny/.lock", lambda _: None):
        _, found = server.doctor("--repair", "--yes")
    assert any("tiny/.working: somebody is at work in it" in line for line in of(found, "images", "note"))
    assert (server.state.images / "tiny/.working").is_dir()


def test_what_can_be_mended_is(server: Site) -> None:
    for break_it in (wrong_modes, orphans, leftovers):
        break_it(server)
    (server.state.logs).rmdir()
    code, found = server.doctor("--repair", "--yes")
    mended = {each["repair"]: each["repaired"] for each in found if each["repair"]}
    assert set(mended.values()) == {"done"} and len(mended) == 9, sorted(mended)
    assert code == 0
    assert server.state.database.stat().st_mode & 0o777 == 0o600
    assert server.state.logs.is_dir()
    assert not (server.state.images / ".gone-old-7").exists()
    left = {path.name for path in (server.state.images / "tiny").iterdir()}
    assert {".resumable", ".edit"} < left and not left & {".working", ".gone-3-77"}, "what is kept on purpose stays"
    code, found = server.doctor()
    assert (code, bad(found)) == (0, [])
    assert Nodes(open_database(server.state.database)).get("n1").macs, "and nothing else went"


def test_nothing_goes_without_a_yes(server: Site) -> None:
    for break_it in (orphans, leftovers):
        break_it(server)
    before = fingerprint(server.state.root)
    _, found = server.doctor("--repair")
    assert {each["repaired"] for each in found if each["repair"]} == {"not done: nobody said yes"}
    assert fingerprint(server.state.root) == before


def typed(server: Site, *words: str, answer: str = "") -> tuple[int, str]:
    arguments = ("--settings", str(server.settings), "doctor", "--no-probe", *words)
    done = CliRunner(catch_exceptions=False).invoke(imaged, arguments, input=answer, standalone_mode=False)
    return done.return_value, done.stdout


def test_as_a_person_sees_it(server: Site) -> None:
    leftovers(server)
    code, out = typed(server)
    assert code == 0
    assert "warning  images    " in out and "ok  " not in out
    assert "`imaged doctor --repair` mends 3 of these." in out
    assert "ok       settings" in typed(server, "--verbose")[1]
    code, out = typed(server, "--repair", answer="y\nn\nn\n")
    assert out.count("[y/N]") == 3 and out.count("repair: remove") == 1 and "1 of 3 mended." in out


@pytest.mark.parametrize("text", ["address: [", "address: 10.0.0.1\nadress: 2\n", ""])
def test_settings_that_cannot_be_read(server: Site, text: str) -> None:
    server.settings.write_text(text)
    code, found = server.doctor("--repair", "--yes")
    assert (code, [(each["check"], each["level"]) for each in found]) == (1, [("settings", "error")])
    server.settings.unlink()
    assert "there is no settings file" in server.doctor()[1][0]["what"]


def test_a_ramdisk_that_cannot_be_made_is_told_and_the_rest_goes_on(
    server: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_ramdisk(server)
    server.state.database.chmod(0o644)
    (server.root / "cache").write_text("no directory")
    monkeypatch.setenv("IMAGED_CACHE", f"{server.root}/cache")
    code, found = server.doctor("--repair")
    mended = {each["repair"].split()[0]: each["repaired"] for each in found if each["repair"]}
    assert mended["chmod"] == "done" and mended["imaged"].startswith("failed: "), mended
    assert code == 1


@needs_cache
def test_a_missing_ramdisk_is_made_as_mkramdisk_makes_it(server: Site) -> None:
    no_ramdisk(server)
    no_loaders(server)
    code, found = server.doctor("--repair")
    assert {each["repair"]: each["repaired"] for each in found if each["repair"]} == {
        "imaged mkramdisk --arch x86_64 --kernel debian": "done"
    }
    assert code == 0
    _, found = server.doctor()
    assert of(found, "ramdisk", *BAD) == [] and of(found, "ramdisk", "ok")[0].startswith("ramdisk x86_64: kernel 6.")


@needs_root
def test_without_root_it_says_what_it_could_not_look_at(server: Site) -> None:
    for path in (server.root, *server.root.parents):
        if path.stat().st_uid == 0 and path != Path("/tmp") and str(path).startswith(("/tmp/", "/var/tmp/")):
            path.chmod(path.stat().st_mode | 0o055)
    server.state.vault.mkdir(mode=0o700)
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    if subprocess.run(
        [*nobody, sys.executable, "-c", "import imaged"], stderr=subprocess.DEVNULL, check=False
    ).returncode:
        pytest.skip(f"others than root may not look into {Path(__file__).parents[2]}: it is in root's home?")
    _, found = server.doctor(prefix=nobody)
    said = {"firewall": "could not be looked at", "rights": "could not look at", "images": "could not be",
            "database": "could not be read"}  # fmt: skip
    for check, what in said.items():
        assert any(what in line for line in of(found, check, "note")), (check, found)
        assert of(found, check, *BAD) == []
    assert of(found, "nodes", "ok", *BAD) == []


def in_a_mount_namespace(server: Site, *lines: str) -> tuple[int, list[dict[str, str]]]:
    argv = f"exec {sys.executable} -m imaged --settings {server.settings} doctor --json --no-probe"
    return process("unshare", "--mount", "sh", "-e", "-c", "\n".join((*lines, argv)))


@needs_root
def test_a_full_disk(server: Site) -> None:
    logs = server.state.logs
    code, found = in_a_mount_namespace(
        server,
        f"mount -t tmpfs -o size=48m,nr_inodes=400 tmpfs {logs}",
        f"dd if=/dev/zero of={logs}/full bs=1M || true",
    )
    lines = of(found, "space", *BAD)
    assert any(f"{logs}: only 0 B are free (logs)" in line for line in lines), lines
    assert any("more files fit (inodes" in line for line in lines), lines
    assert code == 1


@needs_root
def test_a_disk_that_is_read_only(server: Site) -> None:
    images = server.state.images
    _, found = in_a_mount_namespace(server, f"mount --bind {images} {images}", f"mount -o remount,ro,bind {images}")
    # A bind mount is the same device as what is below it: the images are asked first, and so they are told.
    assert any("is read-only" in line for line in of(found, "space", "error")), found
