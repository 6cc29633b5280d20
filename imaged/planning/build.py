"""From a recipe to what builds the image: the bootstrap's argv, the steps that finish the tree, and what must not stay.

Order: bootstrap, ``finish_steps``, ``CLEAN``, then ``unfit`` judges the facts of what came out.
"""

import re
from collections.abc import Sequence

from imaged.model.image import ImageFacts
from imaged.model.plan import CheckFile, MakeLink, RemovePath, RunInTarget, WriteFile
from imaged.model.recipe import LOCKED, Recipe, Renderer, Tool

BuildStep = WriteFile | RemovePath | MakeLink | RunInTarget | CheckFile

_RENDERER_PACKAGES = {
    Renderer.NETWORKD: ("systemd",),
    Renderer.NETWORK_MANAGER: ("network-manager",),
    Renderer.IFUPDOWN: ("ifupdown",),
}
_RENDERER_UNITS = {
    Renderer.NETWORKD: "systemd-networkd.service",
    Renderer.NETWORK_MANAGER: "NetworkManager.service",
    Renderer.IFUPDOWN: "networking.service",
}
_BUILT_IN_LOCALES = ("C", "POSIX", "C.UTF-8")
_INITRAMFS_INPUTS = (
    "/etc/initramfs-tools/",
    "/etc/dracut.conf",
    "/etc/modprobe.d/",
    "/etc/udev/",
    "/etc/systemd/network/",
)
_HOSTS = (
    "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
)
# Without it a package that is already on split /usr draws in usrmerge, and with that the whole of Perl.
_MERGED_USR = "/usr/share/mmdebstrap/hooks/maybe-merged-usr"


def packages(recipe: Recipe) -> tuple[str, ...]:
    """What is asked of the bootstrap, the renderer's and the locale's packages included, each once."""
    wanted = (*recipe.packages, *_RENDERER_PACKAGES[recipe.network], "tzdata")
    if recipe.locale not in _BUILT_IN_LOCALES:
        wanted = (*wanted, "locales")
    return tuple(dict.fromkeys(wanted))


def bootstrap_argv(recipe: Recipe, tree: str) -> tuple[str, ...]:
    """The command that makes the first tree in the empty directory ``tree``."""
    common = (
        "--variant=minbase",
        f"--components={','.join(recipe.components)}",
        f"--include={','.join(packages(recipe))}",
    )
    if recipe.tool is Tool.DEBOOTSTRAP:
        return contained(("debootstrap", *common, recipe.suite, tree, *((recipe.mirror,) if recipe.mirror else ())))
    lines = (f"deb {recipe.mirror} {recipe.suite} {' '.join(recipe.components)}",) if recipe.mirror else ()
    options = ("--verbose", "--mode=root", "--format=directory", f"--hook-dir={_MERGED_USR}", *common)
    return contained(("mmdebstrap", *options, recipe.suite, tree, *lines, *recipe.sources))


def contained(argv: Sequence[str], *, root: str = "") -> tuple[str, ...]:
    """``argv`` in mount and process namespaces of its own, for ``root`` as its / when given.

    Whatever it mounts and starts ends with it, even when we are killed (PR_SET_PDEATHSIG, pid_namespaces(7)): no
    bind mount of /dev is left in a tree that somebody will remove.
    """
    chroot = (f"--root={root}", "--wd=/") if root else ()
    spaces = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    return ("setpriv", "--pdeathsig", "KILL", *spaces, *chroot, *argv)


def finish_steps(recipe: Recipe) -> tuple[BuildStep, ...]:
    """From the packages' defaults to the recipe's wishes. The recipe's own files come last and win."""
    return (
        *_place_and_time(recipe),
        *_names(recipe),
        *_root_login(recipe),
        RunInTarget(("systemctl", "enable", _RENDERER_UNITS[recipe.network], *recipe.enable), reason="units"),
        *(WriteFile(file.path, file.content, file.mode, "the recipe's own") for file in recipe.files),
        *_initramfs(recipe),
    )


def unfit(facts: ImageFacts) -> tuple[str, ...]:
    """Why no machine could be installed from a tree with these facts; empty when one could."""
    faults = [] if facts.kernels else ["there is no kernel in it (packages: linux-image-amd64)"]
    faults += [f"kernel {kernel.version} has no initramfs" for kernel in facts.kernels if not kernel.initrd]
    if "update-initramfs" in facts.commands and not facts.initramfs_generic:
        faults.append("its initramfs fits one machine only (initramfs-tools must say MODULES=most)")
    if not facts.grub_platforms:
        faults.append("there is no GRUB in it (packages: grub-pc-bin, grub-efi-amd64-bin, grub2-common)")
    return tuple(faults)


_PHASES = tuple(
    (re.compile(pattern), phase)
    for pattern, phase in (
        (r"I: running apt-get update|I: running --setup-hook|I: Retrieving InRelease", "package lists"),
        (r"I: downloading packages|I: Retrieving \S", "download"),
        (r"I: extracting archives|I: Extracting ", "extract"),
        (r"I: installing essential packages|I: Installing core packages|I: Unpacking required", "essential packages"),
        (r"I: installing remaining packages|I: Unpacking the base system|I: Configuring the base", "packages"),
        (r"update-initramfs: Generating|dracut: ", "initramfs"),
        (r"I: cleaning package lists|I: Base system installed", "package caches"),
    )
)
_NAME = r"([a-z0-9][a-z0-9+-]+(?:\.[a-z0-9+-]+)*)"
_PACKAGE = re.compile(
    rf"(?:Setting up|Unpacking|I: Retrieving) {_NAME}[ :]|I: (?:Configuring|Extracting|Unpacking) {_NAME}\.\.\.$"
)


def phase_of(line: str) -> str:
    """The phase that a line of mmdebstrap's or debootstrap's output opens; empty when it opens none."""
    return next((phase for pattern, phase in _PHASES if pattern.match(line)), "")


def package_of(line: str) -> str:
    """The package that a line of output is about, or empty."""
    found = _PACKAGE.match(line)
    return (found[1] or found[2]) if found else ""


def _place_and_time(recipe: Recipe) -> tuple[BuildStep, ...]:
    zone = f"/usr/share/zoneinfo/{recipe.timezone}"
    steps: tuple[BuildStep, ...] = (
        CheckFile(zone),
        MakeLink("/etc/localtime", zone, "time zone"),
        WriteFile("/etc/timezone", f"{recipe.timezone}\n", reason="time zone, for Debian's tools"),
        WriteFile("/etc/default/locale", f"LANG={recipe.locale}\n", reason="locale"),
    )
    if recipe.locale in _BUILT_IN_LOCALES:
        return steps
    charset = recipe.locale.partition(".")[2] or "ISO-8859-1"
    generated = WriteFile("/etc/locale.gen", f"{recipe.locale} {charset}\n", reason="locale")
    return (*steps, generated, RunInTarget(("locale-gen",), reason="locale"))


def _names(recipe: Recipe) -> tuple[BuildStep, ...]:
    """Both bootstraps copy the build machine's hostname and resolv.conf into the tree."""
    steps: tuple[BuildStep, ...] = (
        WriteFile("/etc/hosts", _HOSTS, reason="no host's name"),
        RemovePath("/etc/resolv.conf", "the build machine's resolvers"),
    )
    if "systemd-resolved" in recipe.packages:
        link = MakeLink("/etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf", "systemd-resolved(8)")
        return (*steps, link)
    return steps


def _root_login(recipe: Recipe) -> tuple[BuildStep, ...]:
    """Locked is ``*``: no password matches. ``!`` would shut out keys as well where sshd runs without PAM."""
    password = "*" if recipe.root.password == LOCKED else recipe.root.password
    steps: tuple[BuildStep, ...] = (
        RunInTarget(("chpasswd", "--encrypted"), f"root:{password}\n", reason="root's login"),
    )
    if not recipe.root.authorized_keys:
        return steps
    keys = "".join(f"{key}\n" for key in recipe.root.authorized_keys)
    return (
        *steps,
        RunInTarget(("install", "-d", "-m", "0700", "/root/.ssh"), reason="root's login"),
        WriteFile("/root/.ssh/authorized_keys", keys, "0600", "root's login"),
    )


def _initramfs(recipe: Recipe) -> tuple[BuildStep, ...]:
    """The packages built one before the recipe's files were there; build again only where they matter to it."""
    if not any(file.path.startswith(_INITRAMFS_INPUTS) for file in recipe.files):
        return ()
    argv = ("update-initramfs", "-u", "-k", "all")
    return (RunInTarget(argv, timeout=1800, reason="the recipe's files are part of it"),)
