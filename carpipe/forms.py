"""The forms of what is committed as JSON: objects that outlive the version of carpipe that wrote them.

A later version may add fields. This one keeps them and passes over them: whoever copies or changes an object writes
them again. Should the *meaning* of a field change, the form gets a higher number, which the object holds as `form`.
Who does not know that number refuses the object: better no answer than a wrong one.

No number means 1, and 1 is not written, because carpipe 0.1.0 refuses fields that it does not know. The ledger and
label files are no JSON and hold the number elsewhere: `carpipe_form` in a Parquet file's metadata or in a CSV's
column. What other files mean is a matter of the manifest that names them.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from carpipe.errors import InputError

FORM = "form"
# For files that people hand in, too: a column called `form` may be theirs.
TABLE_FORM = "carpipe_form"
# The field of a dataclass that keeps what a later version has added.
UNKNOWN = "unknown"

T = TypeVar("T")


class LaterFormError(InputError):
    """A newer carpipe wrote the object and means something else by it."""


def read(
    form: type[T], data: bytes, *, key: str, what: str, latest: int = 1, given: Mapping[str, Any] | None = None
) -> T:
    """An object of a form, from its JSON.

    Args:
        form: a dataclass with a field `unknown`.
        key: where the bytes lie, for messages.
        what: what they should be, for messages: `a manifest`.
        latest: the highest number of the form that this code knows.
        given: fields of the object that the JSON does not decide.

    Raises:
        LaterFormError: the object has a higher number.
        InputError: it is no such object; says which field is wrong.
    """
    body = read_object(data, key=key, what=what, latest=latest)
    given = given or {}
    known = {field.name for field in fields(form)} - {UNKNOWN}  # type: ignore[arg-type]  # a dataclass
    values = {name: value for name, value in body.items() if name in known}
    unknown = {name: value for name, value in body.items() if name not in known}
    hashable: Any = form
    try:
        made: T = _adapter(hashable).validate_python({**values, **given, UNKNOWN: unknown})
        return made
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        raise _wrong(key, what, f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}") from None


def read_object(data: bytes, *, key: str, what: str, latest: int = 1) -> dict[str, Any]:
    """A JSON object whose fields are looked up by name, so that those of later versions need no care.

    Raises:
        InputError: as `read`.
    """
    try:
        body = json.loads(data)
    except ValueError as error:
        raise _wrong(key, what, str(error)) from None
    if not isinstance(body, dict):
        raise _wrong(key, what, f"expected a JSON object, got {type(body).__name__}")
    check(body.get(FORM, 1), key=key, what=what, latest=latest)
    return body


def check(number: object, *, key: str, what: str, latest: int = 1) -> None:
    """Refuse the number of a form that this code does not know.

    Raises:
        LaterFormError: it is higher than `latest`.
        InputError: it is no number of a form.
    """
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise _wrong(key, what, f"{FORM}: expected a whole number from 1 up, got {number!r}")
    if number > latest:
        raise LaterFormError(
            f"{key} is {what} of form {number}, which a newer carpipe wrote; this one knows forms up to {latest}. "
            "Install a newer carpipe."
        )


def check_text(number: str, *, key: str, what: str) -> None:
    """As `check`, where the number is written in a table; empty: 1."""
    check(int(number) if number.isdecimal() else number or 1, key=key, what=what)


def write(value: Any, *, without: tuple[str, ...] = ()) -> bytes:
    """The JSON of an object that `read` reads, with the fields that later versions had added.

    Args:
        without: fields that are not stored.
    """
    body = {name: field for name, field in asdict(value).items() if name not in without}
    return json.dumps({**body.pop(UNKNOWN), **body}, indent=1, ensure_ascii=False).encode()


def texts(value: object) -> Iterator[str]:
    """Every text in a JSON value, wherever it stands: what an object of any version may refer to."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from texts(part)


@cache
def _adapter(form: Any) -> TypeAdapter[Any]:
    return TypeAdapter(form)


def _wrong(key: str, what: str, reason: str) -> InputError:
    return InputError(f"{key} is not {what} that carpipe understands: {reason}.")
