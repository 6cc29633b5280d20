"""XML that anybody may have written: a small tree with line numbers. Document types and their entities are refused."""

from typing import Any
from xml.parsers import expat

from attrs import field, frozen

from imaged.model.errors import BadInput

_DEEPEST = 32


@frozen
class Element:
    """One element. ``text`` is what stands in it outside of other elements, without space around."""

    name: str
    line: int
    attributes: dict[str, str]
    children: tuple["Element", ...] = ()
    text: str = ""


@frozen
class _Open:
    name: str
    line: int
    attributes: dict[str, str]
    children: list[Element] = field(factory=list)
    text: list[str] = field(factory=list)


def parse(text: str) -> Element:
    """The root of the document. Raises BadInput with the line."""
    parser = expat.ParserCreate("utf-8")  # whatever the declaration says: the text is decoded already
    stack = [_Open("", 0, {})]

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(stack) > _DEEPEST:
            raise BadInput(f"line {parser.CurrentLineNumber}: elements within elements without end")
        stack.append(_Open(name, parser.CurrentLineNumber, attributes))

    def end(_name: str) -> None:
        done = stack.pop()
        text = "".join(done.text).strip()
        stack[-1].children.append(Element(done.name, done.line, done.attributes, tuple(done.children), text))

    def data(text: str) -> None:
        stack[-1].text.append(text)

    def doctype(*_: Any) -> None:
        # Entities can read files and grow without end; no layout needs one.
        raise BadInput(f"line {parser.CurrentLineNumber}: a DOCTYPE is not taken", hint="Remove it.")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = data
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(text.encode("utf-8"), True)
    except expat.ExpatError as error:
        raise BadInput(f"line {error.lineno}: {expat.ErrorString(error.code)}", hint="It is not valid XML.") from None
    except UnicodeEncodeError:
        raise BadInput("it is not text") from None
    return stack[0].children[0]
