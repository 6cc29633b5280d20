"""Recipes become argv and steps."""

import pytest
from attrs import evolve

from imaged.model.image import DRACUT_GENERIC, ImageFacts, Kernel
from imaged.model.plan import CheckFile, MakeLink, RemovePath, RunInTarget, WriteFile
from imaged.model.recipe import ExtraFile, Recipe, Renderer, RootLogin, Tool
from imaged.planning.build import LayOver, RunScript, contained, finish_steps, last_steps, unfit

RECIPE = Recipe(name="compute", suite="bookworm", packages=("linux-image-amd64", "systemd"))


def test_what_a_program_does_to_mounts_processes_and_the_host_name_ends_with_it() -> None:
    spaces = ("unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc")
    assert contained(("locale-gen", "-v")) == ("setpriv", "--pdeathsig", "KILL", *spaces, "locale-gen", "-v")


def test_root_is_locked_without_a_word_about_it() -> None:
    steps = finish_steps(RECIPE)
    assert RunInTarget(("chpasswd", "--encrypted"), "root:*\n", reason="root's login") in steps
    assert not any(isinstance(step, WriteFile) and "authorized_keys" in step.path for step in steps)


def test_a_password_hash_never_reaches_an_argv_that_others_can_read() -> None:
    steps = finish_steps(evolve(RECIPE, root=RootLogin(password="$y$j9T$abc$def")))
    assert not any("$y$" in word for step in steps if isinstance(step, RunInTarget) for word in step.argv)
    assert any(step.stdin == "root:$y$j9T$abc$def\n" for step in steps if isinstance(step, RunInTarget))


def test_root_keys_are_readable_by_root_only() -> None:
    steps = finish_steps(evolve(RECIPE, root=RootLogin(authorized_keys=("ssh-ed25519 AAAA a", "ssh-ed25519 AAAB b"))))
    keys = "ssh-ed25519 AAAA a\nssh-ed25519 AAAB b\n"
    assert WriteFile("/root/.ssh/authorized_keys", keys, "0600", "root's login") in steps


@pytest.mark.parametrize(
    ("network", "unit"),
    [
        (Renderer.NETWORKD, "systemd-networkd.service"),
        (Renderer.NETWORK_MANAGER, "NetworkManager.service"),
        (Renderer.IFUPDOWN, "networking.service"),
    ],
)
def test_the_renderer_is_enabled_with_the_recipes_units(network: Renderer, unit: str) -> None:
    steps = finish_steps(evolve(RECIPE, network=network, enable=("ssh.service",)))
    assert RunInTarget(("systemctl", "enable", unit, "ssh.service"), reason="units") in steps


def test_the_recipes_files_come_after_ours() -> None:
    own = ExtraFile("/etc/hosts", "10.0.0.1 head\n")
    written = [step for step in finish_steps(evolve(RECIPE, files=(own,))) if isinstance(step, WriteFile)]
    assert [step.content for step in written if step.path == "/etc/hosts"][-1] == own.content


@pytest.mark.parametrize(
    ("path", "rebuilt"),
    [
        ("/etc/initramfs-tools/modules", True),
        ("/etc/modprobe.d/site.conf", True),
        ("/etc/motd", False),
    ],
)
def test_initramfs_is_built_again_where_a_file_goes_into_it(path: str, rebuilt: bool) -> None:
    argvs = [step.argv for step in finish_steps(evolve(RECIPE, files=(ExtraFile(path, ""),))) if _runs(step)]
    assert (("update-initramfs", "-u", "-k", "all") in argvs) == rebuilt


def test_a_file_of_an_override_may_go_into_the_initramfs_too() -> None:
    argvs = [step.argv for step in finish_steps(RECIPE, ("/etc/modprobe.d", "/etc/modprobe.d/a.conf")) if _runs(step)]
    assert ("update-initramfs", "-u", "-k", "all") in argvs


def test_overrides_come_before_units_and_files_and_scripts_after_all() -> None:
    own = ExtraFile("/etc/modprobe.d/x.conf", "")
    recipe = evolve(RECIPE, overrides=("/r/one", "/r/two"), files=(own,), scripts=("/r/s1", "/r/s2"))
    steps = finish_steps(recipe)
    kinds = [step for step in steps if isinstance(step, (LayOver, RunScript)) or _runs(step) or _is(step, own.path)]
    assert [_short(step) for step in kinds] == [
        "chpasswd", "/r/one", "/r/two", own.path, "systemctl", "update-initramfs", "/r/s1", "/r/s2",
    ]  # fmt: skip


def test_the_recipes_cleaning_is_last_and_removes_what_it_says() -> None:
    assert last_steps(evolve(RECIPE, clean=("/usr/share/doc/*",))) == (
        RemovePath("/usr/share/doc/*", "the recipe's own"),
    )


RPM = evolve(RECIPE, tool=Tool.DNF, suite="9", packages=("kernel", "rpm", "dracut"), network=Renderer.NETWORK_MANAGER)


@pytest.mark.parametrize("tool", [Tool.DNF, Tool.ZYPPER])
def test_an_rpm_image_gets_no_file_of_debians(tool: Tool) -> None:
    written = {step.path for step in finish_steps(evolve(RPM, tool=tool)) if isinstance(step, WriteFile)}
    assert "/etc/locale.conf" in written
    assert not written & {"/etc/timezone", "/etc/default/locale", "/etc/locale.gen"}


def test_the_images_own_rpm_gets_its_database_before_anything_else() -> None:
    first = finish_steps(RPM)[0]
    assert isinstance(first, RunInTarget)
    assert first.argv[:2] == ("sh", "-c")
    assert "rpmdb --rebuilddb" in first.argv[2]
    assert finish_steps(evolve(RPM, packages=("kernel",)))[0] == CheckFile("/usr/share/zoneinfo/Etc/UTC")


def test_dracut_makes_an_initramfs_for_every_machine() -> None:
    argvs = [step.argv for step in finish_steps(RPM) if _runs(step)]
    assert ("dracut", "--regenerate-all", "--force", "--no-hostonly", "--no-hostonly-cmdline") in argvs
    assert [step.content for step in finish_steps(RPM) if getattr(step, "path", "") == DRACUT_GENERIC] == [
        'hostonly="no"\n'
    ]
    without = finish_steps(evolve(RPM, packages=("kernel",)), ("/etc/modprobe.d/x",))
    assert not any("dracut" in step.argv or "update-initramfs" in step.argv for step in without if _runs(step))


def test_the_time_zone_must_exist_before_it_is_linked() -> None:
    steps = finish_steps(evolve(RECIPE, timezone="Europe/Vienna"))
    zone = "/usr/share/zoneinfo/Europe/Vienna"
    assert steps.index(CheckFile(zone)) < steps.index(MakeLink("/etc/localtime", zone, "time zone"))


def test_a_locale_of_its_own_is_generated() -> None:
    steps = finish_steps(evolve(RECIPE, locale="de_AT.UTF-8"))
    made = steps.index(WriteFile("/etc/locale.gen", "de_AT.UTF-8 UTF-8\n", reason="locale"))
    assert steps[made + 1] == RunInTarget(("locale-gen",), reason="locale")


@pytest.mark.parametrize(("packages", "linked"), [(("systemd-resolved",), True), (("systemd",), False)])
def test_resolv_conf_is_resolveds_or_nobodys(packages: tuple[str, ...], linked: bool) -> None:
    steps = [step for step in finish_steps(evolve(RECIPE, packages=packages)) if "resolv.conf" in str(step)]
    assert isinstance(steps[0], RemovePath)
    assert any(isinstance(step, MakeLink) for step in steps) == linked


GOOD = ImageFacts(
    arch="x86_64",
    kernels=(Kernel("6.1", "/boot/vmlinuz-6.1", "/boot/initrd.img-6.1"),),
    grub_platforms=("i386-pc",),
    commands=("update-initramfs",),
    initramfs_generic=True,
)


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        (evolve(GOOD, kernels=()), "no kernel"),
        (evolve(GOOD, kernels=(*GOOD.kernels, Kernel("6.2", "/boot/vmlinuz-6.2"))), "kernel 6.2 has no initramfs"),
        (evolve(GOOD, initramfs_generic=False), "MODULES=most"),
        (evolve(GOOD, grub_platforms=()), "no GRUB"),
    ],
)
def test_a_tree_that_cannot_be_installed_is_refused(facts: ImageFacts, fault: str) -> None:
    assert unfit(GOOD) == ()
    assert [fault in said for said in unfit(facts)] == [True]


def _runs(step: object) -> bool:
    return isinstance(step, RunInTarget)


def _is(step: object, path: str) -> bool:
    return isinstance(step, WriteFile) and step.path == path


def _short(step: object) -> str:
    match step:
        case LayOver(source) | RunScript(source):
            return source
        case RunInTarget(argv):
            return argv[0]
        case WriteFile(path):
            return path
    raise AssertionError(step)
