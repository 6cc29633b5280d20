"""The programs that make a first tree from packages: what is asked of them, and what their output tells. Pure."""

import re

from imaged.model.arch import DEBIAN_NAMES
from imaged.model.recipe import Recipe, Renderer, Tool

# (Debian, dnf, zypper). None: the distribution has no such package.
_RENDERERS = {
    Renderer.NETWORKD: ("systemd", "systemd-networkd", "systemd-network"),
    Renderer.NETWORK_MANAGER: ("network-manager", "NetworkManager", "NetworkManager"),
    Renderer.IFUPDOWN: ("ifupdown", None, None),
}
_COLUMNS = {Tool.MMDEBSTRAP: 0, Tool.DEBOOTSTRAP: 0, Tool.DNF: 1, Tool.ZYPPER: 2}
_ZONES = ("tzdata", "tzdata", "timezone")
BUILT_IN_LOCALES = ("C", "POSIX", "C.UTF-8")

# Without it a package that is already on split /usr draws in usrmerge, and with that the whole of Perl.
_MERGED_USR = "/usr/share/mmdebstrap/hooks/maybe-merged-usr"

# Where both rpm tools keep the database while they work from outside; Debian's rpm would take $HOME/.rpmdb.
RPM_DATABASE = "/usr/lib/sysimage/rpm"
RPM_MACROS = f"%_dbpath {RPM_DATABASE}\n"
# 107: a package's own script failed, the package is there (zypper(8), EXIT CODES). dnf goes on in this case.
_ZYPPER = '"$@" || { code=$?; [ "$code" = 107 ] || exit "$code"; }'


def renderer_package(recipe: Recipe) -> str | None:
    """The package that has the recipe's renderer; None where the distribution has none."""
    return _RENDERERS[recipe.network][_COLUMNS[recipe.tool]]


def packages(recipe: Recipe) -> tuple[str, ...]:
    """What is asked of the tool, the renderer's, the time zones' and the locale's packages included, each once."""
    column = _COLUMNS[recipe.tool]
    wanted = (*recipe.packages, renderer_package(recipe) or "", _ZONES[column])
    if recipe.locale not in BUILT_IN_LOCALES:
        language = re.split(r"[_.@]", recipe.locale)[0]
        wanted = (*wanted, ("locales", f"glibc-langpack-{language}", "glibc-locale")[column])
    return tuple(dict.fromkeys(each for each in wanted if each))


def bootstrap(recipe: Recipe, tree: str) -> tuple[tuple[str, ...], ...]:
    """The commands that make the first tree in the directory ``tree``: empty, but for an rpm tool's mount points."""
    match recipe.tool:
        case Tool.MMDEBSTRAP:
            return (_mmdebstrap(recipe, tree),)
        case Tool.DEBOOTSTRAP:
            return (_debootstrap(recipe, tree),)
        case Tool.DNF:
            return (_dnf(recipe, tree),)
        case Tool.ZYPPER:
            keys = tuple(("rpm", "--root", tree, "--import", key) for key in recipe.keyring)
            return (*keys, _zypper(recipe, tree))


def _mmdebstrap(recipe: Recipe, tree: str) -> tuple[str, ...]:
    trusted = "[trusted=yes] " if recipe.unsigned else ""  # sources.list(5)
    line = f"deb {trusted}{recipe.mirror} {recipe.suite} {' '.join(recipe.components)}"
    options = ("--verbose", "--mode=root", "--format=directory", f"--hook-dir={_MERGED_USR}")
    keys = tuple(f"--keyring={key}" for key in recipe.keyring)
    lines = (line, *recipe.sources) if recipe.mirror else ()
    return ("mmdebstrap", *options, *keys, *_minimal(recipe), recipe.suite, tree, *lines)


def _debootstrap(recipe: Recipe, tree: str) -> tuple[str, ...]:
    trust = (*(f"--keyring={key}" for key in recipe.keyring), *(("--no-check-gpg",) if recipe.unsigned else ()))
    return ("debootstrap", *trust, *_minimal(recipe), recipe.suite, tree, *((recipe.mirror,) if recipe.mirror else ()))


def _minimal(recipe: Recipe) -> tuple[str, ...]:
    option = "--architectures" if recipe.tool is Tool.MMDEBSTRAP else "--arch"
    return (
        "--variant=minbase",
        *((f"{option}={DEBIAN_NAMES[recipe.arch]}",) if recipe.arch else ()),
        f"--components={','.join(recipe.components)}",
        f"--include={','.join(packages(recipe))}",
    )


def _dnf(recipe: Recipe, tree: str) -> tuple[str, ...]:
    """Only the recipe's repositories, none of this machine's; nothing about them stays in the tree."""
    names = tuple(f"imaged-{number}" for number in range(1, len(_urls(recipe)) + 1))
    keys = ",".join(_file_url(key) for key in recipe.keyring)
    trust = ("--nogpgcheck",) if recipe.unsigned else tuple(f"--setopt={name}.gpgkey={keys}" for name in names)
    return (
        "dnf", "--assumeyes", f"--installroot={tree}", f"--releasever={recipe.suite}", "--noplugins",
        *((f"--forcearch={recipe.arch}",) if recipe.arch else ()),
        "--setopt=reposdir=", "--setopt=install_weak_deps=False", "--setopt=gpgcheck=True",
        *(f"--repofrompath={name},{url}" for name, url in zip(names, _urls(recipe), strict=True)),
        *(f"--repo={name}" for name in names), *trust, "install", *packages(recipe),
    )  # fmt: skip


def _zypper(recipe: Recipe, tree: str) -> tuple[str, ...]:
    trust = ("--no-gpg-checks",) if recipe.unsigned else ()
    repositories = (word for url in _urls(recipe) for word in ("--plus-repo", url))
    return (
        "sh", "-c", _ZYPPER, "zypper",
        "zypper", "--root", tree, "--non-interactive", "--releasever", recipe.suite, *trust, *repositories,
        "install", "--no-recommends", "--download-in-advance", "--auto-agree-with-licenses", *packages(recipe),
    )  # fmt: skip


def _urls(recipe: Recipe) -> tuple[str, ...]:
    return tuple(_file_url(url) for url in (recipe.mirror, *recipe.sources))


def _file_url(place: str) -> str:
    return f"file://{place}" if place.startswith("/") else place


_PHASES = tuple(
    (re.compile(pattern), phase)
    for pattern, phase in (
        (r"I: running apt-get update|I: running --setup-hook|I: Retrieving InRelease", "package lists"),
        (r"Added imaged-1 repo|Retrieving repository ", "package lists"),
        (r"I: downloading packages|I: Retrieving \S|Downloading Packages:|Retrieving package ", "download"),
        (r"I: extracting archives|I: Extracting ", "extract"),
        (r"I: installing essential packages|I: Installing core packages|I: Unpacking required", "essential packages"),
        (r"I: installing remaining packages|I: Unpacking the base system|I: Configuring the base", "packages"),
        (r"Running transaction$|\(\d+/\d+\) Installing: ", "packages"),
        (r"update-initramfs: Generating|dracut: ", "initramfs"),
        (r"I: cleaning package lists|I: Base system installed", "package caches"),
    )
)
_DEB = r"([a-z0-9][a-z0-9+-]+(?:\.[a-z0-9+-]+)*)"
_RPM = r"([A-Za-z0-9][A-Za-z0-9+._-]+)"
_PACKAGE = re.compile(
    rf"(?:Setting up|Unpacking|I: Retrieving) {_DEB}[ :]|I: (?:Configuring|Extracting|Unpacking) {_DEB}\.\.\.$"
    rf"|  Installing +: {_RPM}|\(\d+/\d+\) Installing: {_RPM}"
)
_SCRIPTLET = re.compile(r"warning: %\w+\((\S+)\) scriptlet failed")


def phase_of(line: str) -> str:
    """The phase that a line of a tool's output opens; empty when it opens none."""
    return next((phase for pattern, phase in _PHASES if pattern.match(line)), "")


def package_of(line: str) -> str:
    """The package that a line of output is about, or empty."""
    found = _PACKAGE.match(line)
    return next(filter(None, found.groups()), "") if found else ""


def failed_script_of(line: str) -> str:
    """The rpm package whose own script failed, which neither tool takes for a failure; or empty."""
    found = _SCRIPTLET.search(line)
    return found[1] if found else ""
