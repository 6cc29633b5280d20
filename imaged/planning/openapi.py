"""The OpenAPI 3.1 document of the HTTP API, made from the table that requests are answered by. Pure."""

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from imaged.model.access import Role
from imaged.model.net import Mac
from imaged.model.talk import Problem
from imaged.planning.naming import FORMS
from imaged.planning.schema import SPELLED, Schema, Schemas, described

JSON, TEXT, STREAM = "application/json", "text/plain", "text/event-stream"
_REASONS = {
    304: "It is still what `If-None-Match` names.",
    400: "The path, the query or the JSON is not what it should be.",
    401: "No token, or one that is not good.",
    403: "The token's role is not enough.",
    404: "There is no such thing.",
    409: "It exists already, is in use, or its state does not allow this.",
    412: "It is not what `If-Match` names any more.",
    413: "The body is too large.",
    415: "The body is not `application/json`.",
    422: "The body is JSON, and not what it should be.",
    500: "The server's fault.",
}
_IN_PATHS: dict[str, Schema] = {  # names in paths that not everything can be
    "number": {"type": "integer", "minimum": 1},
    "mac": SPELLED[Mac],
    "form": {"type": "string", "enum": ["csv", "yaml", *FORMS]},
}
_DONE = {200: "Done.", 201: "Made.", 202: "Begun: a job tells how it does.", 204: "Done; there is nothing to say."}


@frozen
class Operation:
    """One line of the table. ``query``, ``body`` and ``answer`` are classes of values, None: there is none.

    ``media`` is what the answer is; ``conditional``: `If-Match` is heeded. ``role`` None: for everybody.
    """

    method: str
    path: str
    name: str
    doc: str
    role: Role | None
    status: int
    query: type | None
    body: type | None
    answer: Any
    media: str = JSON
    conditional: bool = False

    @property
    def refusals(self) -> tuple[int, ...]:
        """Every other status that it may answer with."""
        return (
            *((304,) if self.method == "GET" and self.media == JSON else ()),
            *((400, 401, 403, 404, 409) if self.role else (400,)),
            *((412,) if self.conditional else ()),
            *((413, 415, 422) if self.body else ()),
            500,
        )


def document(operations: Sequence[Operation], *, version: str, server: str) -> Schema:
    """The whole document, as plain data."""
    schemas = Schemas()
    paths: dict[str, Schema] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, schemas)
    schemas.of(Problem)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "imaged",
            "version": version,
            "description": "Nodes, groups, images and what happens to them. Every error is a `Problem`.",
        },
        "servers": [{"url": server}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "`imaged addtoken`."}},
            "responses": {str(code): _refusal(code, text) for code, text in _REASONS.items()},
        },
    }


def _operation(each: Operation, schemas: Schemas) -> Schema:
    summary, _, rest = each.doc.partition("\n\n")
    needs = f"Role: {each.role.value}." if each.role else "For everybody."
    found: Schema = {
        "operationId": each.name,
        "summary": described(summary),
        "description": "\n\n".join(filter(None, (described(rest), needs))),
        "tags": [each.path.split("/")[2].partition(".")[0]],
        "parameters": [*_of_path(each.path), *_of_query(each.query, schemas), *_of_headers(each)],
        "responses": {
            str(each.status): _success(each, schemas),
            **{str(code): {"$ref": f"#/components/responses/{code}"} for code in each.refusals},
        },
    }
    if each.role is None:
        found["security"] = []
    if each.body:
        found["requestBody"] = {"required": True, "content": {JSON: {"schema": schemas.of(each.body)}}}
    return found


def _success(each: Operation, schemas: Schemas) -> Schema:
    answer: Schema = {"description": _DONE[each.status]}
    if each.answer is not None:
        schema = schemas.of(each.answer) if each.media == JSON else {"type": "string"}
        answer["content"] = {each.media: {"schema": schema}}
    if each.method == "GET" and each.media == JSON:
        answer["headers"] = {"ETag": {"schema": {"type": "string"}}}
    return answer


def _refusal(code: int, text: str) -> Schema:
    if code == 304:
        return {"description": text}
    return {"description": text, "content": {JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def _of_path(path: str) -> list[Schema]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    word = {"type": "string", "minLength": 1}
    return [{"name": name, "in": "path", "required": True, "schema": _IN_PATHS.get(name, word)} for name in names]


def _of_query(kind: type | None, schemas: Schemas) -> list[Schema]:
    if kind is None:
        return []
    return [
        {"name": name, "in": "query", "required": needed, "schema": _sayable(schema)}
        for name, schema, needed in schemas.fields(kind)
    ]


def _sayable(schema: Schema) -> Schema:
    """Nobody can say null in a query; it is what is there without a word."""
    kinds = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else schema


def _of_headers(each: Operation) -> list[Schema]:
    names = ["If-None-Match"] if each.method == "GET" and each.media == JSON else []
    names += ["If-Match"] if each.conditional else []
    return [{"name": name, "in": "header", "required": False, "schema": {"type": "string"}} for name in names]
