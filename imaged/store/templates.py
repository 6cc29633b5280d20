"""THE door to Jinja2: autoinstall scripts (boot scripts and the like) rendered strictly."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from imaged.model.errors import BadInput
from imaged.store.paths import shipped


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
