"""THE door to Jinja2: autoinstall scripts (boot scripts...) and templates among overrides, rendered strictly."""

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from imaged.model.errors import BadInput
from imaged.store.paths import shipped

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
        known = ", ".join(sorted(values))
        raise BadInput(
            said,
            where=f"{where}, line {at}" if at else where,
            hint=f"A template may use: {known}." if "undefined" in said else "",
        ) from None


def _line(error: BaseException) -> int | None:
    """Jinja2 puts the template's own lines into the traceback."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _NAMELESS]
    return lines[-1] if lines else None
