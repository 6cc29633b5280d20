"""Who a node is: what stays when it is imaged again, what is another's, what is the image's. Tables of steps."""

import re
from typing import Any

import pytest
from attrs import evolve

from imaged.model.host import CloudInit, Host, Identity
from imaged.model.plan import CheckFile, MakeLink, RemovePath, RestoreIdentity, RunInTarget, Step, WriteFile
from imaged.planning.fixups.checks import checks
from imaged.planning.fixups.cloud import cloud_init, cloud_state
from imaged.planning.fixups.identity import hostname, machine_identity, restore_identity
from imaged.planning.fixups.locale import locale
from imaged.planning.fixups.order import BOOTLOADER, FIXUPS, UPDATE_FIXUPS, apply
from imaged.planning.fixups.quarantine import quarantine
from imaged.planning.fixups.selinux import selinux_labels
from imaged.planning.fixups.storage_names import storage_names
from imaged.planning.fixups.target import Target
from tests.planning.test_fixups import TARGET, with_facts


def files(steps: tuple[Step, ...]) -> dict[str, str]:
    return {step.path: step.content for step in steps if isinstance(step, WriteFile)}


def said(target: Target = TARGET, **words: Any) -> Target:
    return evolve(target, host=Host(**words))


NETWORKED = with_facts(files=("/etc/iscsi", "/etc/nvme", "/etc/machine-id"))


def test_a_node_that_became_another_has_nothing_in_common_with_who_it_was() -> None:
    paths = ("/etc/machine-id", "/etc/iscsi/initiatorname.iscsi", "/etc/nvme/hostnqn", "/etc/nvme/hostid")
    first, again, other = (
        files((*machine_identity(each), *storage_names(each)))
        for each in (NETWORKED, said(NETWORKED), evolve(NETWORKED, generation=1))
    )
    assert first == again and tuple(sorted(first)) == tuple(sorted(paths))
    assert all(first[path] != other[path] for path in paths)


def test_names_of_storage_networks_are_as_their_standards_say() -> None:
    found = files(storage_names(NETWORKED))
    assert re.fullmatch(
        r"InitiatorName=iqn\.\d{4}-\d\d\.[a-z.-]+:[0-9a-f]{12}\n", found["/etc/iscsi/initiatorname.iscsi"]
    )
    host = found["/etc/nvme/hostid"].strip()
    assert found["/etc/nvme/hostnqn"] == f"nqn.2014-08.org.nvmexpress:uuid:{host}\n"
    assert storage_names(TARGET) == ()
    assert "/etc/iscsi/initiatorname.iscsi" in files(
        storage_names(with_facts(files=("/etc/iscsi/initiatorname.iscsi",)))
    )


@pytest.mark.parametrize(
    ("identity", "restored", "machine_id", "host_keys_go"),
    [(None, True, True, True), (Identity.KEEP, True, True, True), (Identity.NEW, False, True, True),
     (Identity.GOLDEN, False, False, False)],
)  # fmt: skip
def test_identity(identity: Identity | None, restored: bool, machine_id: bool, host_keys_go: bool) -> None:
    target = said(NETWORKED, identity=identity)
    steps = apply(FIXUPS, target)
    assert (RestoreIdentity() in steps) is restored
    assert ("/etc/machine-id" in files(steps)) is machine_id
    assert ("/etc/nvme/hostnqn" in files(steps)) is machine_id
    assert ("/etc/ssh/ssh_host_*" in {getattr(step, "path", "") for step in quarantine(target)}) is host_keys_go
    check = next(step for step in checks(target) if isinstance(step, CheckFile) and step.path == "/etc/machine-id")
    assert bool(check.contains) is machine_id


def test_keys_come_back_after_the_golden_ones_are_gone_and_before_missing_ones_are_made() -> None:
    steps = apply(FIXUPS, TARGET)
    made = next(at for at, step in enumerate(steps) if isinstance(step, RunInTarget) and step.argv[0] == "ssh-keygen")
    gone = steps.index(next(step for step in quarantine(TARGET) if getattr(step, "path", "") == "/etc/ssh/ssh_host_*"))
    assert gone < steps.index(RestoreIdentity()) < made
    assert restore_identity(with_facts(commands=())) == ()
    assert RestoreIdentity() not in apply(UPDATE_FIXUPS, TARGET)


@pytest.mark.parametrize(
    ("golden", "line", "expected"),
    [
        ("gold", "10.0.0.5 gold.a.example gold", None),
        ("gold", "10.0.0.5 gold nas", "10.0.0.5 nas"),
        ("gold.a.example", "127.0.0.1 localhost gold # us", "127.0.0.1 localhost # us"),
        ("gold", "10.0.0.6  golden\tother", "10.0.0.6  golden\tother"),
        ("gold", "# gold", "# gold"),
        ("localhost", "127.0.0.1 localhost", "127.0.0.1 localhost"),
        ("", "10.0.0.5 gold", "10.0.0.5 gold"),
    ],
)
def test_the_golden_clients_name_leaves_hosts(golden: str, line: str, expected: str | None) -> None:
    texts = {"/etc/hosts": f"::1 ip6-localhost\n{line}\n", "/etc/hostname": f"{golden}\n"}
    hosts = files(hostname(with_facts(texts=texts)))["/etc/hosts"].splitlines()
    assert hosts == ["::1 ip6-localhost", *([expected] if expected is not None else []), "127.0.1.1 node07"]


def test_every_file_that_has_the_name_says_it() -> None:
    target = evolve(with_facts(files=("/etc/HOSTNAME", "/etc/mailname", "/etc/conf.d/hostname")), domain="a.example")
    found = files(hostname(target))
    assert found["/etc/HOSTNAME"] == "node07\n"
    assert found["/etc/mailname"] == "node07.a.example\n"
    assert found["/etc/conf.d/hostname"] == 'hostname="node07"\n'
    assert set(files(hostname(TARGET))) == {"/etc/hostname", "/etc/hosts"}


DEBIAN = ("debconf-set-selections", "locale-gen")


@pytest.mark.parametrize(
    ("facts", "words", "expected"),
    [
        ({}, {}, ()),
        ({"files": ()}, {"timezone": "Europe/Berlin"}, ("/etc/localtime",)),
        ({"files": ("/etc/timezone",)}, {"timezone": "UTC"}, ("/etc/localtime", "/etc/timezone=UTC\n")),
        ({"commands": DEBIAN, "files": ("/etc/locale.gen",)}, {"locale": "de_DE.UTF-8"},
         ("/etc/default/locale=LANG=de_DE.UTF-8\n", "sed -i -E s/^#[[:space:]]*(de_DE\\.UTF\\-8[[:space:]])/\\1/ "
          "/etc/locale.gen", "locale-gen --keep-existing")),
        ({"commands": ("locale-gen",), "files": ("/etc/locale.gen",)}, {"locale": "C.UTF-8"},
         ("/etc/locale.conf=LANG=C.UTF-8\n", "sed -i -E s/^#[[:space:]]*(C\\.UTF\\-8[[:space:]])/\\1/ /etc/locale.gen",
          "locale-gen")),
        ({"commands": ()}, {"keyboard": "us:intl"},
         ("/etc/vconsole.conf=KEYMAP=us-intl\nXKBLAYOUT=us\nXKBVARIANT=intl\n",)),
        ({"commands": DEBIAN}, {"keyboard": "de"}, (
            '/etc/default/keyboard=XKBMODEL="pc105"\nXKBLAYOUT="de"\nXKBVARIANT=""\nXKBOPTIONS=""\nBACKSPACE="guess"\n',)),
    ],
)  # fmt: skip
def test_locale(facts: dict[str, Any], words: dict[str, str], expected: tuple[str, ...]) -> None:
    found = []
    for step in locale(said(with_facts(**facts), **words)):
        match step:
            case WriteFile(path=path, content=content):
                found.append(f"{path}={content}")
            case MakeLink(path=path):
                found.append(path)
            case RunInTarget(argv=argv):
                found.append(" ".join(argv))
    assert tuple(found) == expected


def test_a_time_zone_that_the_image_does_not_know_fails_the_install() -> None:
    first, link = locale(said(timezone="Europe/Berlin"))
    assert isinstance(first, CheckFile) and first.path == "/usr/share/zoneinfo/Europe/Berlin"
    assert isinstance(link, MakeLink) and link.target == "../usr/share/zoneinfo/Europe/Berlin"


CLOUDY = with_facts(files=("/etc/cloud",))


def test_cloud_init() -> None:
    assert list(files(cloud_init(CLOUDY))) == ["/etc/cloud/cloud-init.disabled"]
    seeded = files(cloud_init(said(CLOUDY, cloud_init=CloudInit.SEED)))
    assert seeded["/var/lib/cloud/seed/nocloud/meta-data"] == (
        f"instance-id: {CLOUDY.machine_id}\nlocal-hostname: node07\n"
    )
    assert "network: {config: disabled}" in seeded["/etc/cloud/cloud.cfg.d/99-imaged.cfg"]
    assert "/etc/cloud/cloud-init.disabled" not in seeded
    assert cloud_init(said(CLOUDY, cloud_init=CloudInit.IMAGE)) == cloud_init(TARGET) == cloud_state(TARGET) == ()
    assert all(isinstance(step, RemovePath) for step in cloud_state(CLOUDY))
    assert not {step.path for step in cloud_state(CLOUDY)} & {step.path for step in apply(UPDATE_FIXUPS, CLOUDY)
                                                            if isinstance(step, RemovePath)}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "commands", "policy"),
    [
        ("SELINUX=enforcing\nSELINUXTYPE=targeted\n", ("setfiles",), "targeted"),
        ("# SELINUX=disabled\n SELINUX = permissive\nSELINUXTYPE=mls\n", ("setfiles",), "mls"),
        ("SELINUX=disabled\nSELINUXTYPE=targeted\n", ("setfiles",), None),
        ("SELINUX=enforcing\n", (), None),
        ("", ("setfiles",), None),
    ],
)
def test_labels_are_set_where_they_are_looked_at(config: str, commands: tuple[str, ...], policy: str | None) -> None:
    target = with_facts(commands=commands, texts={"/etc/selinux/config": config})
    found = [step.argv for step in selinux_labels(target) if isinstance(step, RunInTarget)]
    assert [argv[3] for argv in found] == ([f"/etc/selinux/{policy}/contexts/files/file_contexts"] if policy else [])
    assert BOOTLOADER[-1] is UPDATE_FIXUPS[-1] is selinux_labels


def test_an_image_whose_labels_were_lost_gets_all_of_them() -> None:
    """Else the node would not start; those of an image that has them came with its files."""
    texts = {"/etc/selinux/config": "SELINUX=enforcing\n"}
    (step,) = selinux_labels(with_facts(commands=("setfiles",), texts=texts, labelled=False))
    assert isinstance(step, RunInTarget) and step.argv[-1] == "/" and step.timeout > 900
    left_out = {after for before, after in zip(step.argv, step.argv[1:], strict=False) if before == "-e"}
    assert left_out >= {"/dev", "/proc", "/run", "/sys"}
    for labelled in (True, None):
        (some,) = selinux_labels(with_facts(commands=("setfiles",), texts=texts, labelled=labelled))
        assert isinstance(some, RunInTarget) and "/" not in some.argv and "/etc" in some.argv
