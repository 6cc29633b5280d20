"""THE door to Jinja2: autoinstall scripts (boot scripts...), templates among overrides, web pages."""

import traceback
from collections.abc import Callable, Hashable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError
from markupsafe import Markup

from imaged.model.errors import BadInput
from imaged.store.paths import shipped

_KEPT = 10_000  # rendered pieces of pages, of half a KiB each
_NAMELESS = "<template>"  # what Jinja2 calls a template that came from no file, also in tracebacks


class Templates:
    """Templates of the site first (``site`` may be missing), those we ship after them."""

    def __init__(self, site: Path) -> None:
        roots = [str(site), str(shipped("autoinstall_scripts"))]
        self._environment = Environment(
            loader=FileSystemLoader(roots), undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False
        )

    def render(self, name: str, **values: Any) -> str:
        """``name`` like ``boot/install.ipxe``. Raises BadInput that names the template and what is wrong in it."""
        try:
            return self._environment.get_template(name).render(values)
        except TemplateError as error:
            line = getattr(error, "lineno", None)
            raise BadInput(str(error), where=f"{name}, line {line}" if line else name) from None


class Html:
    """Web pages: whatever is put into a template of ``root`` is escaped. ``words`` are functions that all may use.

    The macros of ``parts/NAME.html`` render what is called ``NAME.MACRO``: they are given an id, a value, and the
    pieces that lie within.
    """

    def __init__(self, root: Path, words: Mapping[str, Callable[..., object]]) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(str(root)), undefined=StrictUndefined, autoescape=True, trim_blocks=True,
            lstrip_blocks=True, auto_reload=False,
        )  # fmt: skip
        self._environment.globals.update(words, part=self.part)
        self._kept = lru_cache(maxsize=_KEPT)(self._rendered)

    def page(self, name: str, **values: Any) -> str:
        """A whole page. What goes wrong in a template is a fault of ours."""
        return self._environment.get_template(f"{name}.html").render(values)

    def part(self, piece: Any) -> Markup:
        """A piece of a page: it has ``kind``, ``id``, ``value``, and may have ``rows``.

        One without rows is kept for the next time: the same line is on many pages.
        """
        rows = getattr(piece, "rows", ())
        return (self._rendered if rows else self._kept)(piece.kind, piece.id, piece.value, rows)

    def _rendered(self, kind: str, id: str, value: Hashable, rows: tuple[Any, ...]) -> Markup:
        name, _, macro = kind.partition(".")
        return self._macros(name)[macro](id, value, rows)

    @cache  # noqa: B019  as long as the page is served
    def _macros(self, name: str) -> Mapping[str, Callable[..., Markup]]:
        return vars(self._environment.get_template(f"parts/{name}.html").module)


def render_text(content: bytes, values: Mapping[str, Any], *, where: str) -> bytes:
    """Render a template that stands alone (it cannot include others); ``where`` names it in errors.

    Raises BadInput with the line, whatever went wrong: what is in a template is somebody else's doing.
    """
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadInput("is a template and not UTF-8 text", where=f"{where}, line {line}") from None
    try:
        return environment.from_string(text).render(values).encode()
    except Exception as error:
        at: int | None = getattr(error, "lineno", None) or _line(error)
        said = str(error) or type(error).__name__
        raise BadInput(said, where=f"{where}, line {at}" if at else where, hint=_known(values, said)) from None


def _known(values: Mapping[str, Any], said: str) -> str:
    """What could have been written instead, where that is what went wrong."""
    if "undefined" not in said and "has no attribute" not in said:
        return ""
    names = [f"{key}.{name}" for key, value in values.items() if isinstance(value, dict) for name in value]
    return f"A template may use: {', '.join(sorted([*(key for key in values if key != 'var'), *names]))}."


def _line(error: BaseException) -> int | None:
    """Jinja2 puts the template's own lines into the traceback."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _NAMELESS]
    return lines[-1] if lines else None
