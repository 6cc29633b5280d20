"""Recipes become argv and steps."""

import pytest
from attrs import evolve

from imaged.model.image import ImageFacts, Kernel
from imaged.model.plan import CheckFile, MakeLink, RemovePath, RunInTarget, WriteFile
from imaged.model.recipe import ExtraFile, Recipe, Renderer, RootLogin, Tool
from imaged.planning.build import bootstrap_argv, contained, finish_steps, package_of, packages, phase_of, unfit

RECIPE = Recipe(name="compute", suite="bookworm", packages=("linux-image-amd64", "systemd"))
CONTAINED = (
    "setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
)  # fmt: skip


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (RECIPE, ("linux-image-amd64", "systemd", "tzdata")),
        (evolve(RECIPE, packages=("bash", "bash")), ("bash", "systemd", "tzdata")),
        (evolve(RECIPE, packages=(), network=Renderer.NETWORK_MANAGER), ("network-manager", "tzdata")),
        (evolve(RECIPE, packages=(), network=Renderer.IFUPDOWN), ("ifupdown", "tzdata")),
        (evolve(RECIPE, packages=(), locale="de_DE.UTF-8"), ("systemd", "tzdata", "locales")),
    ],
)
def test_packages_hold_what_the_choices_need_once(recipe: Recipe, expected: tuple[str, ...]) -> None:
    assert packages(recipe) == expected


INCLUDE = "--include=linux-image-amd64,systemd,tzdata"
MM = (
    "mmdebstrap", "--verbose", "--mode=root", "--format=directory",
    "--hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr", "--variant=minbase",
)  # fmt: skip


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (RECIPE, (*MM, "--components=main", INCLUDE, "bookworm", "/t")),
        (
            evolve(RECIPE, mirror="http://mirror.site/debian", components=("main", "contrib")),
            (*MM, "--components=main,contrib", INCLUDE, "bookworm", "/t",
             "deb http://mirror.site/debian bookworm main contrib"),
        ),
        (
            evolve(RECIPE, mirror="http://m/d", sources=("deb http://m/s bookworm-security main",)),
            (*MM, "--components=main", INCLUDE, "bookworm", "/t", "deb http://m/d bookworm main",
             "deb http://m/s bookworm-security main"),
        ),
        (
            evolve(RECIPE, tool=Tool.DEBOOTSTRAP),
            ("debootstrap", "--variant=minbase", "--components=main", INCLUDE, "bookworm", "/t"),
        ),
        (
            evolve(RECIPE, tool=Tool.DEBOOTSTRAP, mirror="http://m/d"),
            ("debootstrap", "--variant=minbase", "--components=main", INCLUDE, "bookworm", "/t", "http://m/d"),
        ),
    ],
)  # fmt: skip
def test_bootstrap_command(recipe: Recipe, expected: tuple[str, ...]) -> None:
    assert bootstrap_argv(recipe, "/t") == (*CONTAINED, *expected)


def test_a_program_of_the_tree_sees_the_tree_as_its_root() -> None:
    assert contained(("locale-gen",), root="/t") == (*CONTAINED, "--root=/t", "--wd=/", "locale-gen")


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


@pytest.mark.parametrize(
    ("line", "phase", "package"),
    [
        ("I: running apt-get update...", "package lists", ""),
        ("I: running --setup-hook directly: /usr/share/mmdebstrap/hooks/x /t", "package lists", ""),
        ("I: downloading packages with apt...", "download", ""),
        ("I: extracting archives...", "extract", ""),
        ("I: installing essential packages...", "essential packages", ""),
        ("I: installing remaining packages inside the chroot...", "packages", ""),
        ("Setting up libc6:amd64 (2.36-9+deb12u14) ...", "", "libc6"),
        ("Unpacking linux-image-6.1.0-56-amd64 (6.1.170-1) ...", "", "linux-image-6.1.0-56-amd64"),
        ("update-initramfs: Generating /boot/initrd.img-6.1.0-56-amd64", "initramfs", ""),
        ("I: cleaning package lists and apt cache...", "package caches", ""),
        ("I: Retrieving InRelease ", "package lists", ""),
        ("I: Retrieving adduser 3.134", "download", "adduser"),
        ("I: Extracting libc6...", "extract", "libc6"),
        ("I: Unpacking required packages...", "essential packages", ""),
        ("I: Unpacking the base system...", "packages", ""),
        ("I: Configuring systemd...", "", "systemd"),
        ("I: Base system installed successfully.", "package caches", ""),
        ("", "", ""),
        ("Get:1 some where", "", ""),
    ],
)
def test_output_tells_phase_and_package(line: str, phase: str, package: str) -> None:
    assert (phase_of(line), package_of(line)) == (phase, package)


def _runs(step: object) -> bool:
    return isinstance(step, RunInTarget)
