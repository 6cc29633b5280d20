"""From a recipe to what builds the image, as steps, and whether the result is fit to install from. Pure.

Order: ``build_tools.bootstrap``, ``finish_steps``, ``clean.CLEAN``, ``last_steps``; then ``unfit`` judges the facts of
what came out.
"""

from collections.abc import Iterable, Sequence

from attrs import frozen

from imaged.model.image import DRACUT_GENERIC, ImageFacts
from imaged.model.plan import CheckFile, MakeLink, RemovePath, RunInTarget, WriteFile
from imaged.model.recipe import LOCKED, Recipe, Renderer
from imaged.planning.build_tools import BUILT_IN_LOCALES, RPM_DATABASE


@frozen
class LayOver:
    """Copy the tree in the directory ``source`` (of this machine) over the image's. Its files become root's."""

    source: str


@frozen
class RunScript:
    """Run the program in the file ``source`` (of this machine) in the image. Non-zero fails the build."""

    source: str


BuildStep = WriteFile | RemovePath | MakeLink | RunInTarget | CheckFile | LayOver | RunScript

_RENDERER_UNITS = {
    Renderer.NETWORKD: "systemd-networkd.service",
    Renderer.NETWORK_MANAGER: "NetworkManager.service",
    Renderer.IFUPDOWN: "networking.service",
}
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
# The tool worked from outside, where it cannot know the place of the database; the image's own rpm does. Built again
# in any case: by the image's rpm, in the format that is its own.
_OWN_DATABASE = f"""set -e
at=$(rpm --eval '%{{_dbpath}}')
if [ "$at" != {RPM_DATABASE} ]; then
  rm -rf "$at"
  mkdir -p "${{at%/*}}"
  mv {RPM_DATABASE} "$at"
fi
rpmdb --rebuilddb
"""


def contained(argv: Sequence[str]) -> tuple[str, ...]:
    """``argv`` in namespaces of its own for mounts, processes, host name and System V IPC.

    Whatever it mounts and starts ends with it, even when we are killed (PR_SET_PDEATHSIG, pid_namespaces(7)): no
    bind mount of /dev is left in a tree that somebody will remove.
    """
    spaces = ("unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc")
    return ("setpriv", "--pdeathsig", "KILL", *spaces, *argv)


def finish_steps(recipe: Recipe, laid: Iterable[str] = ()) -> tuple[BuildStep, ...]:
    """From the packages' defaults to the recipe's wishes. The recipe's own files come late and win, its scripts last.

    ``laid`` are the paths in the image that its overrides bring.
    """
    return (
        *_rpm_database(recipe),
        *_place_and_time(recipe),
        *_names(recipe),
        *_root_login(recipe),
        *(LayOver(source) for source in recipe.overrides),
        *(WriteFile(file.path, file.content, file.mode, "the recipe's own") for file in recipe.files),
        RunInTarget(("systemctl", "enable", _RENDERER_UNITS[recipe.network], *recipe.enable), reason="units"),
        *_initramfs(recipe, (*laid, *(file.path for file in recipe.files))),
        *(RunScript(source) for source in recipe.scripts),
    )


def last_steps(recipe: Recipe) -> tuple[RemovePath, ...]:
    """After everything that runs in the tree, and after what is removed from every image."""
    return tuple(RemovePath(pattern, "the recipe's own") for pattern in recipe.clean)


def unfit(facts: ImageFacts) -> tuple[str, ...]:
    """Why no machine could be installed from a tree with these facts; empty when one could."""
    faults = [] if facts.kernels else ["there is no kernel in it (packages: linux-image-amd64, or kernel)"]
    faults += [f"kernel {kernel.version} has no initramfs" for kernel in facts.kernels if not kernel.initrd]
    if "update-initramfs" in facts.commands and not facts.initramfs_generic:
        faults.append("its initramfs fits one machine only (initramfs-tools must say MODULES=most)")
    if not facts.grub_platforms:
        faults.append("there is no GRUB in it (packages: grub-pc-bin, grub-efi-amd64-bin, grub2-common)")
    return tuple(faults)


def doubtful(facts: ImageFacts) -> tuple[str, ...]:
    """What people should know of an image that machines can be installed from."""
    if facts.labelled is not False:
        return ()
    then = "each install makes them all" if "setfiles" in facts.commands else "without setfiles no node would start"
    return (f"SELinux is on in it and no file has a label (`ls -Z` shows those of a golden client): {then}",)


def _rpm_database(recipe: Recipe) -> tuple[BuildStep, ...]:
    if "rpm" not in recipe.packages or not recipe.tool.rpm:
        return ()
    return (RunInTarget(("sh", "-c", _OWN_DATABASE), reason="rpm's database where the image's rpm looks for it"),)


def _place_and_time(recipe: Recipe) -> tuple[BuildStep, ...]:
    zone = f"/usr/share/zoneinfo/{recipe.timezone}"
    linked = (CheckFile(zone), MakeLink("/etc/localtime", zone, "time zone"))
    if recipe.tool.rpm:  # locales come compiled, in packages
        return (*linked, WriteFile("/etc/locale.conf", f"LANG={recipe.locale}\n", reason="locale"))
    steps: tuple[BuildStep, ...] = (
        *linked,
        WriteFile("/etc/timezone", f"{recipe.timezone}\n", reason="time zone, for Debian's tools"),
        WriteFile("/etc/default/locale", f"LANG={recipe.locale}\n", reason="locale"),
    )
    if recipe.locale in BUILT_IN_LOCALES:
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


def _initramfs(recipe: Recipe, paths: Iterable[str]) -> tuple[BuildStep, ...]:
    """Built again where a file of the recipe goes into it: the packages built one before those were there.

    dracut's is built again in any case. Made by a package's script it fits the machine that it was made on, unless the
    image says otherwise (dracut.conf(5), hostonly); ours says so, and installs then need not build it once more.
    """
    argv: tuple[str, ...] = ()
    says: tuple[BuildStep, ...] = ()
    if recipe.tool.rpm and "dracut" in recipe.packages:
        argv = ("dracut", "--regenerate-all", "--force", "--no-hostonly", "--no-hostonly-cmdline")
        says = (WriteFile(DRACUT_GENERIC, 'hostonly="no"\n', reason="nodes may have any hardware"),)
    elif not recipe.tool.rpm and any(path.startswith(_INITRAMFS_INPUTS) for path in paths):
        argv = ("update-initramfs", "-u", "-k", "all")
    return (*says, RunInTarget(argv, timeout=1800, reason="what the recipe wants in it")) if argv else ()
