"""The overrides of a node: found, merged, rendered, kept below ``<state>/run/overrides/`` for its eyes only.

``<node>/<digest>/{tree/,manifest.mtree}`` is one rendering and never changes; ``<node>/current`` links to the one that
rsync serves. Everything above the trees has mode 0700: there may be secrets among them.
"""

import fcntl
import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from imaged.model.errors import BadInput, ImagedError
from imaged.model.override import OURS, Clash, Merged, Wanted, merge
from imaged.store import lowest, seal
from imaged.store.generation import PROTECT, Generations
from imaged.store.lay import Laying, given_layer
from imaged.store.layers import Found, combined, read_layer
from imaged.store.manifest import format_manifest
from imaged.store.paths import State
from imaged.store.templates import render_text
from imaged.store.tree import Tree

EXCLUDE = ".exclude"


@frozen
class Rendered:
    """Overrides of one node as they are served. ``digest`` is 16 hex digits of the manifest's sha256."""

    node: str
    digest: str
    tree: Path
    clashes: tuple[Clash, ...] = ()

    @property
    def manifest(self) -> str:
        """mtree(5) text of the tree."""
        return (self.tree.parent / "manifest.mtree").read_text(encoding="ascii")


class Overrides:
    """Every override of one server.

    ``in_use`` says whether a node is fetching now: what it may be reading is kept until it is not. ``clock`` counts
    seconds, for how often layers are looked at.
    """

    def __init__(
        self, state: State, *, in_use: Callable[[str], bool] = lambda _: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.root = state.root / "overrides"
        self.scripts = state.root / "scripts"
        self.synced = state.syncfiles
        self._run = state.run / "overrides"
        self._in_use = in_use
        self.generations = Generations(state, clock)
        self._rendered: dict[str, tuple[str, Rendered]] = {}

    def merged(self, wanted: Wanted, image: Path | None) -> Merged:
        """Which layer each path comes from, without making anything. ``image`` is the version's tree."""
        return self._merge(wanted, image)[0]

    def render(self, wanted: Wanted, image: Path) -> Rendered:
        """The tree of this node, made anew only if something changed. Raises ImagedError naming what is wrong.

        ``image`` is the version's tree. The rendering is the one that ``current`` names from now on.
        """
        name = wanted.node.name
        generation = self.generations.of(name, wanted.version.image, wanted.groups)
        key = combined((generation, wanted.version.ref, wanted.version.manifest_sha256, repr(wanted.values)))
        known = self._rendered.get(name)
        if known and known[0] == key and known[1].tree.is_dir():
            return known[1]
        merged, layers = self._merge(wanted, image)
        with self._home(name) as home:
            rendered = self._make(home, wanted, image, merged, layers)
            _point(home, rendered.digest)
            self._clear(home, rendered.digest)
        self._rendered[name] = (key, rendered)
        return rendered

    def current(self, node: str) -> Path | None:
        """The tree that was rendered last, also by a process before us; what the module ``overrides`` shows."""
        try:
            return (self._run / node / "current").resolve(strict=True) / "tree"
        except OSError:
            return None

    def protect_lists(self, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """(where, text) of the lists of protected paths beside these layers. Raises BadInput."""
        return self._lists(names, PROTECT)

    def exclude_lists(self, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """(where, text) of the lists of what an install leaves out, beside these layers. Raises BadInput."""
        return self._lists(names, EXCLUDE)

    def _lists(self, names: tuple[str, ...], suffix: str) -> tuple[tuple[str, str], ...]:
        paths = [(f"overrides/{name}{suffix}", self.root / f"{name}{suffix}") for name in names]
        return tuple((where, _text(path, where)) for where, path in paths if path.exists())

    def script_names(self, kind: str) -> tuple[str, ...]:
        """Every name in the directory of ``post-update`` scripts or another kind."""
        try:
            return tuple(sorted(path.name for path in (self.scripts / kind).iterdir()))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise BadInput(f"cannot be read: {error.strerror}", where=f"scripts/{kind}") from None

    def script(self, kind: str, name: str) -> str:
        """The text of a script. Raises BadInput for one that nobody knows how to run."""
        where = f"scripts/{kind}/{name}"
        text = _text(self.scripts / kind / name, where)
        if not text.startswith("#!"):
            raise BadInput("does not begin with #!, so that nobody knows what runs it", where=where)
        return text

    def forget(self, node: str) -> None:
        """The node is removed: so are its rendered secrets."""
        self._rendered.pop(node, None)
        shutil.rmtree(self._run / node, ignore_errors=True)

    def _merge(self, wanted: Wanted, image: Path | None) -> tuple[Merged, dict[str, Found]]:
        tree = Tree(image) if image else None
        layers = [given_layer(OURS, lowest.files()), *(read_layer(self.root, name) for name in wanted.layers)]
        return merge(each.listing(tree) for each in layers), {each.name: each for each in layers}

    def _make(self, home: Path, wanted: Wanted, image: Path, merged: Merged, layers: dict[str, Found]) -> Rendered:
        making = Path(tempfile.mkdtemp(prefix=".new-", dir=home))
        try:
            tree = making / "tree"
            given = {each.path: each for each in lowest.files()}
            values = wanted.values
            Laying(
                tree, image, layers, given,
                lambda content, where: render_text(content, values, where=f"{where} for {wanted.node.name}"),
            ).lay(merged)  # fmt: skip
            text = "".join(format_manifest(seal.read_tree(tree).entries))
            (making / "manifest.mtree").write_text(text, encoding="ascii")
            digest = hashlib.sha256(text.encode("ascii")).hexdigest()[:16]
            if not (home / digest).is_dir():
                making.rename(home / digest)
        finally:
            shutil.rmtree(making, ignore_errors=True)
        return Rendered(wanted.node.name, digest, home / digest / "tree", merged.clashes)

    def _clear(self, home: Path, digest: str) -> None:
        if self._in_use(home.name):
            return
        for path in home.iterdir():
            if path.name not in (digest, "current", ".lock"):
                shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def _home(self, name: str) -> Iterator[Path]:
        """The node's directory, ours alone meanwhile: also a verb of the command line may render."""
        home = self._run / name
        try:
            self._run.parent.mkdir(parents=True, exist_ok=True)
            for directory in (self._run, home):
                directory.mkdir(mode=0o700, exist_ok=True)
            with (home / ".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield home
        except OSError as error:
            raise ImagedError(
                f"overrides cannot be kept: {error.strerror}", where=str(error.filename or home)
            ) from None


def _text(path: Path, where: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BadInput("is not UTF-8 text", where=where) from None
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=where) from None


def _point(home: Path, digest: str) -> None:
    beside = home / ".current.new"
    beside.unlink(missing_ok=True)
    beside.symlink_to(digest)
    beside.replace(home / "current")
