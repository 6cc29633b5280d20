"""Reads a recipe file and checks it as a whole."""

import re
from pathlib import Path
from typing import Any

from attrs import evolve, fields

from imaged.model.arch import DEBIAN_NAMES
from imaged.model.codec import from_plain
from imaged.model.errors import BadInput, ImagedError, NotFound
from imaged.model.names import image_name
from imaged.model.recipe import LOCKED, Recipe, Renderer, Tool
from imaged.store import yamlfile
from imaged.store.paths import shipped

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?")  # deb-control(5), Debian policy 5.6.7
_RPM = re.compile(r"[@A-Za-z0-9][A-Za-z0-9+._:-]*")  # also a group (@core) and a pattern (pattern:base)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]*")
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")  # a path below /usr/share/zoneinfo, never out of it
_LOCALE = re.compile(r"[A-Za-z]+(_[A-Z]+)?(\.[A-Za-z0-9-]+)?(@[a-z]+)?")
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]+\.[a-z]+")
_MODE = re.compile(r"[0-7]{4}")
_MIRROR = re.compile(r"(https?|file|copy)://?[^\s,]+|/[^\s,]+")
_SOURCE = re.compile(r"deb (\[[^\]\n]*\] )?\S+ \S+[^\n]*")
_HASH = re.compile(r"\$[a-z0-9]+\$[./A-Za-z0-9$,=*-]+")  # crypt(5)
_DEFAULT_COMPONENTS = fields(Recipe).components.default
_KEY = re.compile(r"(\S.* )?(sk-)?(ssh|ecdsa)-[a-z0-9@.-]+ AAAA[A-Za-z0-9+/=]+( .*)?")  # sshd(8), AUTHORIZED_KEYS


def read(name: str, *, mirror: str | None = None) -> Recipe:
    """The recipe in the file ``name``, else the one of that name that we ship; ``mirror`` replaces its own.

    Raises NotFound or BadInput.
    """
    path = Path(name)
    if not path.exists() and re.fullmatch(r"[a-z0-9._-]+", name):
        try:
            path = shipped("images", f"{name.removesuffix('.yaml')}.yaml")
        except NotFound:
            hint = "Give the path of a recipe file, or the name of a shipped one such as debian-12."
            raise NotFound("there is no such recipe", where=name, hint=hint) from None
    data = yamlfile.load(path)
    if mirror is not None and isinstance(data, dict):
        data = {**data, "mirror": mirror}
    recipe = build(data, where=str(path))
    return _placed(recipe, path)


def build(data: Any, *, where: str) -> Recipe:
    """A recipe from plain data, checked as a whole. Raises BadInput that names every fault."""
    recipe = from_plain({} if data is None else data, Recipe, where=where)
    faults = [
        *_bad_words(recipe), *_bad_archive(recipe), *_bad_arch(recipe), *_bad_trust(recipe), *_bad_login(recipe),
        *_bad_files(recipe), *_bad_globs(recipe),
    ]  # fmt: skip
    if faults:
        raise BadInput("\n  ".join(faults), where=where)
    return recipe


def public_keys(path: Path) -> tuple[str, ...]:
    """The public keys of a file, one a line. Raises NotFound or BadInput."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise NotFound("no such file", where=str(path)) from None
    except (OSError, UnicodeDecodeError):
        raise BadInput("cannot be read as text", where=str(path)) from None
    if any("PRIVATE KEY" in line for line in lines):
        raise BadInput("is a private key", where=str(path), hint=f"Give the public one: {path}.pub")
    keys = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not keys or not all(_KEY.fullmatch(key) for key in keys):
        raise BadInput("holds no ssh public key, or more than keys", where=str(path), hint="ssh-keygen(1) makes one.")
    return keys


def password_hash(text: str) -> str:
    """A crypt(5) hash. Raises BadInput for anything else, so that no password lands in a shadow file by mistake."""
    if not _HASH.fullmatch(text):
        raise BadInput("a root password must be a crypt(5) hash", hint="`mkpasswd` or `openssl passwd -6` makes one.")
    return text


def _bad_words(recipe: Recipe) -> list[str]:
    faults = []
    try:
        image_name(recipe.name)
    except ImagedError as error:
        faults.append(f"name: {error.what}")
    if not recipe.packages:
        faults.append("packages: at least one is needed")
    rules = (
        ("suite", (recipe.suite,), _WORD), ("components", recipe.components, _WORD),
        ("packages", recipe.packages, _RPM if recipe.tool.rpm else _PACKAGE), ("locale", (recipe.locale,), _LOCALE),
        ("timezone", (recipe.timezone,), _ZONE), ("enable", recipe.enable, _UNIT),
    )  # fmt: skip
    for key, values, form in rules:
        faults += [f"{key}: {value!r} is not one" for value in values if not form.fullmatch(value)]
        faults += [f"{key}: {value!r} is there twice" for value in sorted({v for v in values if values.count(v) > 1})]
    return faults


def _bad_archive(recipe: Recipe) -> list[str]:
    faults = []
    if recipe.mirror and not _MIRROR.fullmatch(recipe.mirror):
        faults.append(f"mirror: {recipe.mirror!r} is not a URL")
    form, said = (_MIRROR, "is not a URL") if recipe.tool.rpm else (_SOURCE, "must begin with 'deb '")
    faults += [f"sources[{at}]: {said}" for at, line in enumerate(recipe.sources) if not form.fullmatch(line)]
    if recipe.tool.rpm and not recipe.mirror:
        faults.append(f"mirror: {recipe.tool.value} has no default; give the URL of a repository")
    elif recipe.sources and not recipe.mirror:
        faults.append("sources: they need a mirror beside them")
    if recipe.sources and recipe.tool is Tool.DEBOOTSTRAP:
        faults.append("sources: debootstrap knows one mirror only; use tool: mmdebstrap")
    if recipe.tool.rpm and recipe.components != _DEFAULT_COMPONENTS:
        faults.append("components: rpm repositories have none; name each repository in sources")
    if recipe.tool.rpm and recipe.network is Renderer.IFUPDOWN:
        faults.append("network: ifupdown is Debian's own")
    return faults


def _bad_arch(recipe: Recipe) -> list[str]:
    if not recipe.arch:
        return []
    if recipe.tool is Tool.ZYPPER:
        return ["arch: zypper makes images for this machine's processor only"]
    return [] if recipe.arch in DEBIAN_NAMES else [f"arch: {recipe.arch!r} is none of {', '.join(DEBIAN_NAMES)}"]


def _bad_trust(recipe: Recipe) -> list[str]:
    """Debian's tools have keys of their own to go by, the others only what the recipe says."""
    faults = []
    if recipe.keyring and recipe.unsigned:
        faults.append("unsigned: there is a keyring, so signatures are asked for")
    if recipe.tool.rpm and not recipe.keyring and not recipe.unsigned:
        faults.append("keyring: files with the keys that sign the packages are needed (or `unsigned: true`)")
    if recipe.unsigned and not recipe.mirror:
        faults.append("unsigned: goes with a mirror of your own")
    if recipe.tool is Tool.DEBOOTSTRAP and len(recipe.keyring) > 1:
        faults.append("keyring: debootstrap takes one file only; use tool: mmdebstrap")
    return faults


def _bad_login(recipe: Recipe) -> list[str]:
    faults = []
    if recipe.root.password != LOCKED and not _HASH.fullmatch(recipe.root.password):
        faults.append(f"root.password: must be {LOCKED!r} or a crypt(5) hash, never the password itself")
    keys = recipe.root.authorized_keys
    faults += [
        f"root.authorized_keys[{at}]: not an ssh public key" for at, key in enumerate(keys) if not _KEY.fullmatch(key)
    ]
    return faults


def _bad_files(recipe: Recipe) -> list[str]:
    faults = []
    for at, file in enumerate(recipe.files):
        if (
            not file.path.startswith("/")
            or file.path.endswith("/")
            or "\0" in file.path
            or ".." in file.path.split("/")
        ):
            faults.append(f"files[{at}].path: {file.path!r} must be an absolute path of a file")
        if not _MODE.fullmatch(file.mode):
            faults.append(f"files[{at}].mode: {file.mode!r} is not four octal digits such as '0644'")
    paths = [file.path for file in recipe.files]
    return faults + [f"files: {path} is there twice" for path in sorted({p for p in paths if paths.count(p) > 1})]


def _bad_globs(recipe: Recipe) -> list[str]:
    """Anchored, and never so wide that a top directory goes: ``/*`` is a slip, not a wish."""
    return [
        f"clean[{at}]: {pattern!r} must be an absolute path below a top directory, such as /var/cache/foo/*"
        for at, pattern in enumerate(recipe.clean)
        if not re.fullmatch(r"/[^/*?\[\0]+(/[^/\0]+)+", pattern) or ".." in pattern.split("/")
    ]


def _placed(recipe: Recipe, path: Path) -> Recipe:
    """Its own files, found from the recipe's directory. Raises BadInput that names each that is not as it must be."""

    def found(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str((path.parent / name).resolve()) for name in names)

    recipe = evolve(
        recipe, keyring=found(recipe.keyring), overrides=found(recipe.overrides), scripts=found(recipe.scripts)
    )
    faults = [f"keyring: {each} is no file" for each in recipe.keyring if not Path(each).is_file()]
    faults += [f"overrides: {each} is no directory" for each in recipe.overrides if not Path(each).is_dir()]
    faults += [f"scripts: {each} {said}" for each in recipe.scripts if (said := _bad_script(Path(each)))]
    if faults:
        raise BadInput("\n  ".join(faults), where=str(path))
    return recipe


def _bad_script(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return "" if file.read(2) == b"#!" else "does not begin with #!, so that nobody knows what runs it"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
