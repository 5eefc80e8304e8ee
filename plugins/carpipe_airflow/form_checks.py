"""What a field of a trigger form refuses, said in a sentence: "expected a whole number from 1 up, got 'many'."

Airflow holds every given parameter against the JSON schema of its field before there is a run, whether it came from
the form, the REST API or the command line. It shows what jsonschema says, as "'x' does not match '^[0-9a-f]...'", and
the whole schema after it. A schema can name its dialect (`$schema`), and jsonschema can be taught one: the fields of
carpipe have a dialect with one keyword, `expected`. It holds the value against the rest of the schema, and says what
was expected in the words that the field gives. A process that does not know the dialect checks the same, in
jsonschema's own words.

This is imported wherever forms are made or checked: by the DAG files, and by the plugin in the API server.
"""

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import create, validates

from carpipe.names import brief

DIALECT = "urn:carpipe:form"
_STANDARD = Draft202012Validator.META_SCHEMA["$id"]


class _RefusedError(ValidationError):
    """Its text is the sentence alone, without the schema that Airflow would show to people."""

    def __str__(self) -> str:
        return str(self.message)


def _expected(_: Any, expected: str, value: Any, schema: dict[str, Any]) -> Iterator[ValidationError]:
    standard = {name: part for name, part in schema.items() if name not in ("$schema", "expected")}
    if not Draft202012Validator(standard).is_valid(value):
        got = "nothing" if value in (None, "") else brief(repr(value))
        yield _RefusedError(f"expected {expected}, got {got}.")


validates("carpipe's forms")(
    create({"$id": DIALECT, "$schema": _STANDARD, "$ref": _STANDARD}, validators={"expected": _expected})
)
