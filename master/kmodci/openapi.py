"""The OpenAPI document of the HTTP API: a table of what there is, and schemas made from the models that check it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from . import apianswers as told
from . import apiasked as asked

JSON, TEXT = "application/json", "text/plain; charset=utf-8"
_REFERENCE = "#/components/schemas/{model}"
_TOKEN = "token"  # noqa: S105 # the name of a scheme
_HEADERS: Mapping[int, Mapping[str, str]] = {
    202: {"Location": "where it can be asked for again", "Retry-After": "seconds"},
    401: {"WWW-Authenticate": "`Bearer`"},
    405: {"Allow": "the methods that there are"},
    429: {"Retry-After": "seconds"},
}
_LOG_HEADERS = {
    "X-Log-Size": "bytes of it that are known now",
    "X-Log-Complete": "`true` once nothing more will come",
    "X-Log-Build": "the build that it is of: another one begins anew",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path. Every one may answer with 429, and with 405 to another method."""

    path: str
    method: str
    name: str
    summary: str
    answers: Mapping[int, type[BaseModel] | None]
    """by status, of those below 400; None for text"""
    query: type[BaseModel] = asked.NoQuery
    body: type[BaseModel] | None = None
    part: str = ""
    """what stands in the path"""
    part_is: str = ""
    errors: tuple[int, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    """of what is answered with 200"""


_READ = (401, 403, 422, 503)
OPERATIONS = (
    Operation(
        path="/builds",
        method="post",
        name="ask",
        summary="A module for a kernel: where it is, or when it will be, or why it is not",
        body=asked.BuildAsked,
        answers={200: told.BuildTold, 202: told.BuildTold},
        errors=(401, 403, 404, 409, 413, 415, 422, 503),
    ),
    Operation(
        path="/builds/{id}",
        method="get",
        name="build",
        summary="How it stands by now",
        part="id",
        part_is="of an answer of `POST /builds`",
        answers={200: told.BuildTold},
        errors=(*_READ, 404),
    ),
    Operation(
        path="/builds/{id}/log",
        method="get",
        name="log",
        summary="What the build has said: of one that runs this far, else of the last one",
        part="id",
        part_is="of an answer of `POST /builds`",
        query=asked.LogQuery,
        answers={200: None},
        errors=(*_READ, 404),
        headers=_LOG_HEADERS,
    ),
    Operation(
        path="/coverage",
        method="get",
        name="coverage",
        summary="What is built, failed, unavailable, skipped and pending",
        query=asked.CountsQuery,
        answers={200: told.CoverageAnswer},
        errors=(*_READ, 404),
    ),
    Operation(
        path="/coverage/builds",
        method="get",
        name="coverageBuilds",
        summary="Every build with its status",
        query=asked.CoverageQuery,
        answers={200: told.BuildsAnswer},
        errors=(*_READ, 404),
    ),
    Operation(
        path="/kernels",
        method="get",
        name="kernels",
        summary="The kernels that are known",
        query=asked.KernelsQuery,
        answers={200: told.KernelsAnswer},
        errors=_READ,
    ),
    Operation(
        path="/sources",
        method="get",
        name="sources",
        summary="Where kernels and modules are looked for, and how that went",
        query=asked.SourcesQuery,
        answers={200: told.SourcesAnswer},
        errors=_READ,
    ),
    Operation(
        path="/hosts",
        method="get",
        name="hosts",
        summary="Where builds run, and how each of these is",
        answers={200: told.HostsAnswer},
        errors=_READ,
    ),
    Operation(
        path="/runs",
        method="get",
        name="runs",
        summary="What became due at once, and how it went",
        query=asked.RunsQuery,
        answers={200: told.RunsAnswer},
        errors=_READ,
    ),
    Operation(
        path="/runs/{id}",
        method="get",
        name="run",
        summary="A run with its builds",
        part="id",
        part_is="of a run",
        query=asked.RunQuery,
        answers={200: told.RunAnswer},
        errors=(*_READ, 404),
    ),
)
_MODELS: tuple[tuple[type[BaseModel], JsonSchemaMode], ...] = (
    *((each.body, "validation") for each in OPERATIONS if each.body),
    *((model, "serialization") for each in OPERATIONS for model in each.answers.values() if model),
    (told.ErrorAnswer, "serialization"),
)


def document(address: str, version: str) -> dict[str, object]:
    """OpenAPI 3.1. address: of the API; version: of kmodci."""
    names, definitions = models_json_schema([*dict.fromkeys(_MODELS)], ref_template=_REFERENCE)
    references = {id(model): schema for (model, _), schema in names.items()}
    paths: dict[str, dict[str, object]] = {}
    for each in OPERATIONS:
        paths.setdefault(each.path, {})[each.method] = _operation(each, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "kmodci",
            "version": version,
            "description": "Kernel modules from a build farm: what is built, and what is not, and why.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": address}],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {_TOKEN: {"type": "http", "scheme": "bearer"}},
        },
        # a farm may let everybody read, or nobody who has no token
        "security": [{}, {_TOKEN: []}],
    }


def _operation(of: Operation, references: Mapping[int, object]) -> dict[str, object]:
    answers: dict[str, object] = {}
    for status, model in of.answers.items():
        content = {JSON: {"schema": references[id(model)]}} if model else {TEXT: {"schema": {"type": "string"}}}
        headers = dict(of.headers) if status == HTTPStatus.OK else {}
        answers[str(status)] = _answer(status, content, headers)
    for status in (*of.errors, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.TOO_MANY_REQUESTS):
        answers[str(int(status))] = _answer(status, {JSON: {"schema": references[id(told.ErrorAnswer)]}}, {})
    found: dict[str, object] = {
        "operationId": of.name,
        "summary": of.summary,
        "parameters": [*_part(of), *_query(of.query)],
        "responses": answers,
    }
    if of.body:
        found["requestBody"] = {"required": True, "content": {JSON: {"schema": references[id(of.body)]}}}
    return found


def _answer(status: int, content: object, headers: Mapping[str, str]) -> dict[str, object]:
    told_headers = {**headers, **_HEADERS.get(status, {})}
    found: dict[str, object] = {"description": HTTPStatus(status).phrase, "content": content}
    if told_headers:
        found["headers"] = {
            name: {"description": what, "schema": {"type": "string"}} for name, what in told_headers.items()
        }
    return found


def _part(of: Operation) -> list[object]:
    if not of.part:
        return []
    schema = {"type": "string"}
    return [{"name": of.part, "in": "path", "required": True, "description": of.part_is, "schema": schema}]


def _query(model: type[BaseModel]) -> list[object]:
    """Each field of the model. Their schemas are written out: a query has no definitions beside it."""
    schema = model.model_json_schema(ref_template="{model}")
    definitions = schema.get("$defs", {})
    return [
        {"name": name, "in": "query", "required": False, "schema": _inline(each, definitions)}
        for name, each in schema.get("properties", {}).items()
    ]


def _inline(schema: object, definitions: Mapping[str, object]) -> object:
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inline(definitions[schema["$ref"]], definitions)
        # a query cannot say `null`: what is not said is not there
        some = [_as_dict(_inline(each, definitions)) for each in schema.get("anyOf", ()) if each != {"type": "null"}]
        if some:
            rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
            return {**rest, **(some[0] if len(some) == 1 else {"anyOf": some})}
        return {name: _inline(value, definitions) for name, value in schema.items()}
    return [_inline(each, definitions) for each in schema] if isinstance(schema, list) else schema


def _as_dict(schema: object) -> dict[str, object]:
    assert isinstance(schema, dict)
    return schema
