"""Recipes become argv; output becomes phases."""

import pytest
from attrs import evolve

from imaged.model.recipe import Recipe, Renderer, Tool
from imaged.planning.build_tools import bootstrap, failed_script_of, package_of, packages, phase_of

RECIPE = Recipe(name="compute", suite="bookworm", packages=("linux-image-amd64", "systemd"))


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
            evolve(RECIPE, mirror="http://m/d", keyring=("/r/k.gpg",)),
            (*MM[:-1], "--keyring=/r/k.gpg", MM[-1], "--components=main", INCLUDE, "bookworm", "/t",
             "deb http://m/d bookworm main"),
        ),
        (
            evolve(RECIPE, mirror="http://m/d", unsigned=True),
            (*MM, "--components=main", INCLUDE, "bookworm", "/t", "deb [trusted=yes] http://m/d bookworm main"),
        ),
        (
            evolve(RECIPE, tool=Tool.DEBOOTSTRAP, mirror="http://m/d", unsigned=True),
            ("debootstrap", "--no-check-gpg", "--variant=minbase", "--components=main", INCLUDE, "bookworm", "/t",
             "http://m/d"),
        ),
        (
            evolve(RECIPE, arch="aarch64"),
            (*MM, "--architectures=arm64", "--components=main", INCLUDE, "bookworm", "/t"),
        ),
        (
            evolve(RECIPE, tool=Tool.DEBOOTSTRAP, arch="aarch64"),
            ("debootstrap", "--variant=minbase", "--arch=arm64", "--components=main", INCLUDE, "bookworm", "/t"),
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
    assert bootstrap(recipe, "/t") == (expected,)


RPM = Recipe(
    name="compute", suite="9", packages=("kernel", "bash"), tool=Tool.DNF, mirror="http://m/9/$basearch",
    network=Renderer.NETWORK_MANAGER, unsigned=True,
)  # fmt: skip
SUSE = evolve(RPM, tool=Tool.ZYPPER, suite="15.6", mirror="http://m/15.6/oss")


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (RPM, ("kernel", "bash", "NetworkManager", "tzdata")),
        (evolve(RPM, network=Renderer.NETWORKD), ("kernel", "bash", "systemd-networkd", "tzdata")),
        (evolve(RPM, locale="de_AT.UTF-8"), ("kernel", "bash", "NetworkManager", "tzdata", "glibc-langpack-de")),
        (SUSE, ("kernel", "bash", "NetworkManager", "timezone")),
        (evolve(SUSE, network=Renderer.NETWORKD), ("kernel", "bash", "systemd-network", "timezone")),
        (evolve(SUSE, locale="de_AT.UTF-8"), ("kernel", "bash", "NetworkManager", "timezone", "glibc-locale")),
    ],
)
def test_packages_have_the_distributions_own_names(recipe: Recipe, expected: tuple[str, ...]) -> None:
    assert packages(recipe) == expected


DNF = (
    "dnf", "--assumeyes", "--installroot=/t", "--releasever=9", "--noplugins",
    "--setopt=reposdir=", "--setopt=install_weak_deps=False", "--setopt=gpgcheck=True",
)  # fmt: skip
DNF_PACKAGES = ("kernel", "bash", "NetworkManager", "tzdata")


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (
            RPM,
            (*DNF, "--repofrompath=imaged-1,http://m/9/$basearch", "--repo=imaged-1", "--nogpgcheck",
             "install", *DNF_PACKAGES),
        ),
        (
            evolve(RPM, sources=("/srv/site",), unsigned=False, keyring=("/r/a.asc", "/r/b.asc")),
            (*DNF, "--repofrompath=imaged-1,http://m/9/$basearch", "--repofrompath=imaged-2,file:///srv/site",
             "--repo=imaged-1", "--repo=imaged-2",
             "--setopt=imaged-1.gpgkey=file:///r/a.asc,file:///r/b.asc",
             "--setopt=imaged-2.gpgkey=file:///r/a.asc,file:///r/b.asc",
             "install", *DNF_PACKAGES),
        ),
    ],
)  # fmt: skip
def test_dnf(recipe: Recipe, expected: tuple[str, ...]) -> None:
    assert bootstrap(recipe, "/t") == (expected,)


ZYPPER = ("zypper", "--root", "/t", "--non-interactive", "--releasever", "15.6")
ZYPPER_PACKAGES = (
    "--no-recommends",
    "--download-in-advance",
    "--auto-agree-with-licenses",
    "kernel",
    "bash",
    "NetworkManager",
    "timezone",
)


def test_zypper_without_signatures() -> None:
    ((sh, option, script, name, *argv),) = bootstrap(SUSE, "/t")
    assert (sh, option, name) == ("sh", "-c", "zypper")
    assert "107" in script
    assert argv == [*ZYPPER, "--no-gpg-checks", "--plus-repo", "http://m/15.6/oss", "install", *ZYPPER_PACKAGES]


def test_zypper_is_given_its_keys_by_rpm_first() -> None:
    recipe = evolve(SUSE, unsigned=False, keyring=("/r/a.asc",), sources=("http://m/15.6/update",))
    first, (_, _, _, _, *argv) = bootstrap(recipe, "/t")
    assert first == ("rpm", "--root", "/t", "--import", "/r/a.asc")
    repositories = ("--plus-repo", "http://m/15.6/oss", "--plus-repo", "http://m/15.6/update")
    assert argv == [*ZYPPER, *repositories, "install", *ZYPPER_PACKAGES]


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
        ("Added imaged-1 repo from http://m/9", "package lists", ""),
        ("Downloading Packages:", "download", ""),
        ("Running transaction check", "", ""),
        ("Running transaction", "packages", ""),
        ("  Installing       : NetworkManager-1.4.2-1.el9.x86_64      3/9", "", "NetworkManager-1.4.2-1.el9.x86_64"),
        ("Retrieving repository 'oss' metadata [.done]", "package lists", ""),
        ("Retrieving package bash-5.2-1.x86_64 (1/9),   1.4 MiB (  2.8 MiB unpacked)", "download", ""),
        ("(1/9) Installing: bash-5.2-1.x86_64 [....done]", "packages", "bash-5.2-1.x86_64"),
        ("", "", ""),
        ("Get:1 some where", "", ""),
    ],
)
def test_output_tells_phase_and_package(line: str, phase: str, package: str) -> None:
    assert (phase_of(line), package_of(line)) == (phase, package)


@pytest.mark.parametrize(
    ("line", "package"),
    [
        (
            "warning: %post(kernel-core-5.14.0-1.x86_64) scriptlet failed, exit status 127",
            "kernel-core-5.14.0-1.x86_64",
        ),
        ("  Running scriptlet: kernel-core-5.14.0-1.x86_64  1/1", ""),
    ],
)
def test_a_failed_scriptlet_is_noticed(line: str, package: str) -> None:
    assert failed_script_of(line) == package
