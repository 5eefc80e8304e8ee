"""The forms of what is committed as JSON: objects that outlive the version of carpipe that wrote them.

A later version may add fields. This one keeps them and passes over them: whoever copies or changes an object writes
them again. Should the *meaning* of a field change, the form gets a higher number, which the object holds as `form`.
Who does not know that number refuses the object: better no answer than a wrong one.

No number means 1, and 1 is not written, because carpipe 0.1.0 refuses fields that it does not know. The ledger and
label files are no JSON and hold the number elsewhere: `carpipe_form` in a Parquet file's metadata or in a CSV's
column. What other files mean is a matter of the manifest that names them.

Whoever may write the bucket may write any bytes: JSON of it is read by `parse` alone, within limits.
"""

import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, fields
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from carpipe.errors import InputError
from carpipe.names import brief, shown

FORM = "form"
# For files that people hand in, too: a column called `form` may be theirs.
TABLE_FORM = "carpipe_form"
# The field of a dataclass that keeps what a later version has added.
UNKNOWN = "unknown"

# Far above what there is: the manifest of a dataset of ten million photos has some 3 MB, in 6 levels.
MAX_JSON_BYTES = 16 * 2**20
MAX_DEPTH = 50
# Commas, colons and opening brackets, quoted ones too: how many values there are at most, before they take memory.
# Manifests and inventories have 20 bytes and more for each, so they meet MAX_JSON_BYTES first; of ten million
# photos they have 50,000. The costliest JSON that is read takes some 100 MiB.
MAX_SIGNS = 1_000_000
_SIGNS = (b",", b":", b"[", b"{")
# Digits of a whole number; sizes and counts have up to 19.
MAX_DIGITS = 20
ALL = "*"

T = TypeVar("T")


class NoJsonError(InputError):
    """It is no JSON at all, so it says nothing to anybody."""


class LaterFormError(InputError):
    """A newer carpipe wrote the object and means something else by it."""


def read(
    form: type[T],
    data: bytes,
    *,
    key: str,
    what: str,
    latest: int = 1,
    given: Mapping[str, Any] | None = None,
    figures: Collection[str] = (),
) -> T:
    """An object of a form, from its JSON.

    Args:
        form: a dataclass with a field `unknown`.
        key: where the bytes lie, for messages.
        what: what they should be, for messages: `a manifest`.
        latest: the highest number of the form that this code knows.
        given: fields of the object that the JSON does not decide.
        figures: fields that may hold numbers that are none; see `parse`.

    Raises:
        LaterFormError: the object has a higher number.
        InputError: it is no such object; says which field is wrong.
    """
    body = read_object(data, key=key, what=what, latest=latest, figures=figures)
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
        field = ".".join(map(str, wrong["loc"]))
        raise _wrong(key, what, f"{brief(field)}: {brief(wrong['msg'])}") from None


def read_object(data: bytes, *, key: str, what: str, latest: int = 1, figures: Collection[str] = ()) -> dict[str, Any]:
    """A JSON object whose fields are looked up by name, so that those of later versions need no care.

    Raises:
        InputError: as `read`.
    """
    body = parse(data, key=key, what=what, figures=figures)
    if not isinstance(body, dict):
        raise _wrong(key, what, f"expected a JSON object, got {type(body).__name__}")
    check(body.get(FORM, 1), key=key, what=what, latest=latest)
    return body


def parse(
    data: bytes | str, *, key: str, what: str, figures: Collection[str] = (), max_bytes: int = MAX_JSON_BYTES
) -> Any:
    """A JSON value of the bucket, whoever has written it.

    Args:
        max_bytes: that it may have.
        figures: fields of the outermost object in which NaN and infinity may stand, as a training that went astray
            leaves them; `ALL` means everywhere.

    Raises:
        NoJsonError: it is no JSON.
        InputError: it is none that can be trusted to mean one thing: it is longer than `max_bytes`, deeper
            than `MAX_DEPTH`, names a field twice, or holds a number without end, text that is no Unicode, or more
            values than `MAX_SIGNS` allows.
    """
    data = data.encode(errors="surrogatepass") if isinstance(data, str) else data
    if len(data) > max_bytes:
        raise _wrong(key, what, f"it has {len(data):,} bytes, expected at most {max_bytes:,}")
    if (signs := sum(map(data.count, _SIGNS))) > MAX_SIGNS:
        raise _wrong(key, what, f"it has {signs:,} commas, colons and brackets, expected at most {MAX_SIGNS:,}")
    try:
        value = json.loads(data, object_pairs_hook=_each_once, parse_int=_whole)
        outer = value if isinstance(value, dict) else {"": value}
        for name, part in outer.items():
            _check_text(name)
            _check_parts(part, finite=not {name, ALL} & set(figures))
    except RecursionError:
        raise _wrong(key, what, f"it is nested more than {MAX_DEPTH} deep") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise NoJsonError(_says(key, what, str(error))) from None
    except ValueError as error:
        raise _wrong(key, what, str(error)) from None
    return value


def check(number: object, *, key: str, what: str, latest: int = 1) -> None:
    """Refuse the number of a form that this code does not know.

    Raises:
        LaterFormError: it is higher than `latest`.
        InputError: it is no number of a form.
    """
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise _wrong(key, what, f"{FORM}: expected a whole number from 1 up, got {brief(repr(number))}")
    if number > latest:
        raise LaterFormError(
            f"{shown(key)} is {what} of form {number}, which a newer carpipe wrote; this one knows forms up to "
            f"{latest}. Install a newer carpipe."
        )


def check_text(number: str, *, key: str, what: str) -> None:
    """As `check`, where the number is written in a table; empty: 1."""
    short = number.isdecimal() and len(number) <= MAX_DIGITS
    check(int(number) if short else number[:100] or 1, key=key, what=what)


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


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a field that stands there twice, readers in other languages may see the other one."""
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise ValueError(f"it has the field '{brief(name)}' twice")
        made[name] = value
    return made


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"it has a number of {len(digits):,} digits, expected at most {MAX_DIGITS}")
    return int(digits)


def _check_parts(value: object, *, finite: bool) -> None:
    level, depth = [value], 2
    while level:
        inside: list[object] = []
        for part in level:
            if isinstance(part, str):
                _check_text(part)
            elif isinstance(part, float) and finite and not math.isfinite(part):
                raise ValueError(f"it has the number {part}")
            elif isinstance(part, dict | list):
                if depth > MAX_DEPTH:
                    raise RecursionError
                inside += [*part, *part.values()] if isinstance(part, dict) else part
        level, depth = inside, depth + 1


def _check_text(text: str) -> None:
    """JSON can hold half of a character, which nothing can be encoded with: no key, no page, no log."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"it has a text that is no Unicode, '{brief(text)}'") from None


@cache
def _adapter(form: Any) -> TypeAdapter[Any]:
    return TypeAdapter(form)


def _wrong(key: str, what: str, reason: str) -> InputError:
    return InputError(_says(key, what, reason))


def _says(key: str, what: str, reason: str) -> str:
    return f"{shown(key)} is not {what} that carpipe understands: {reason}."
