"""What the page on the API shows, read out of `openapi`: so the page says what the document says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from carpipe.serving.openapi import JSON, MULTIPART
from carpipe.serving.schemas import Schema


@dataclass(frozen=True)
class Field:
    """A field of something that is sent or answered. `links` are names of schemas that it holds."""

    name: str
    type: str
    links: tuple[str, ...]
    required: bool
    description: str


@dataclass(frozen=True)
class Said:
    """An answer: its status, when it comes, and the schemas it may have."""

    status: str
    description: str
    links: tuple[str, ...]


@dataclass(frozen=True)
class Operation:
    """A route, and what a form needs to ask it.

    Attributes:
        kinds: of a body; none where it takes none.
        fields: of that body.
        many: whether several photos are taken.
        example: of a JSON body; empty where photos are taken.
    """

    name: str
    method: str
    path: str
    summary: str
    description: str
    kinds: tuple[str, ...]
    fields: tuple[Field, ...]
    many: bool
    example: str
    answers: tuple[Said, ...]
    samples: tuple[str, ...]


def operations(document: Mapping[str, Any]) -> list[Operation]:
    """All routes, in the document's order."""
    schemas = document["components"]["schemas"]
    return [
        _operation(path, method, operation, schemas)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def schema_fields(document: Mapping[str, Any]) -> dict[str, tuple[Field, ...]]:
    """The fields of each schema, by its name."""
    return {name: _fields(schema) for name, schema in document["components"]["schemas"].items()}


def _operation(path: str, method: str, operation: Mapping[str, Any], schemas: Mapping[str, Schema]) -> Operation:
    content = operation.get("requestBody", {}).get("content", {})
    [first, *_] = [media["schema"] for media in content.values() if "schema" in media] or [{}]
    [name, *_] = _links(first) or ("",)
    fields = _fields(schemas[name] if name else first)
    samples = tuple(sample["source"] for sample in operation["x-codeSamples"])
    return Operation(
        name=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        description=operation.get("description", ""),
        kinds=tuple(content),
        fields=fields,
        many=MULTIPART in content and any(field.type.startswith("array") for field in fields),
        example=samples[0].split("'")[-2] if JSON in content else "",
        answers=tuple(_said(status, answer) for status, answer in sorted(operation["responses"].items())),
        samples=samples,
    )


def _said(status: str, answer: Mapping[str, Any]) -> Said:
    return Said(status, answer["description"], _links(answer["content"][JSON]["schema"]))


def _fields(schema: Schema) -> tuple[Field, ...]:
    required = schema.get("required", ())
    return tuple(
        Field(name, _type(one), _links(one), name in required, one.get("description", ""))
        for name, one in schema.get("properties", {}).items()
    )


def _type(schema: Schema) -> str:
    """Its type for people: `array of number, or null`."""
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    if "array" in kinds:
        kinds[kinds.index("array")] = f"array of {_type(schema['items'])}".removesuffix(" ")
    if "anyOf" in schema and {"type": "null"} in schema["anyOf"]:
        kinds.append("or null")
    return ", or ".join(kinds) if "contentMediaType" not in schema else "file"


def _links(schema: Schema) -> tuple[str, ...]:
    """Names of the schemas that it refers to."""
    if "$ref" in schema:
        return (schema["$ref"].rpartition("/")[2],)
    inner = [*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())]
    return tuple(name for one in inner for name in _links(one))
