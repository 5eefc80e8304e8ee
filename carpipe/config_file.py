"""Settings as people write them: values in a TOML file or behind a dotted key, and what is wrong with one, in words.

What settings there are is in `carpipe.config` alone. This file reads no environment.
"""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from carpipe.backports import tomllib
from carpipe.errors import ConfigError, explain_unreadable

# Settings that may name a file.
_FILES = (
    ("store", "ca_bundle"), ("crop", "weights"), ("classes", "taxonomy"), ("car_filter", "weights"),
    ("classifier", "weights"), ("signing", "key"), ("signing", "trusted"), ("car_filter", "backbone"),
    ("classifier", "backbone"),
)  # fmt: skip


def read_values(path: Path) -> dict[str, Any]:
    """The values of a TOML file by section, unchecked; files named in it that lie beside it, with their whole path.

    Raises:
        ConfigError: the file is missing or not TOML.
    """
    return _with_own_paths(_read_toml(path), path.parent)


def set_value(values: dict[str, Any], dotted: str, value: Any) -> None:
    """Put a value under its dotted key, such as `classes.min_photos`. Raises ConfigError where no section is there."""
    *parents, last = dotted.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            got = "a value" if _may_be_secret(parent, values) else repr(values)
            raise ConfigError(f"{parent} must be a table of settings, got {got}.")
    values[last] = value


def explain(error: ValidationError, form: type[BaseModel], *, where: str) -> str:
    """What is wrong with the values of a form, in a sentence each; what may be secret is not repeated."""
    return " ".join(_explain_one(dict(detail), form, where=where) for detail in error.errors())


def _explain_one(detail: dict[str, Any], form: type[BaseModel], *, where: str) -> str:
    location = [str(part) for part in detail["loc"]]
    key = ".".join(location)
    if detail["type"] != "extra_forbidden":
        value = "" if _may_be_secret(key, detail["input"]) else f" = {detail['input']!r}"
        return f"In {where}, {key or 'a setting'}{value} is not possible: {detail['msg']}."
    owner = form
    for part in location[:-1]:
        owner = owner.model_fields[part].annotation  # type: ignore[assignment]  # sections are models
    meant = list(_meant(key, form))
    hint = f" Did you mean {' or '.join(meant)}?" if meant else ""
    return f"In {where}, {key} is not a known setting; known are {', '.join(owner.model_fields)}.{hint}"


def _meant(key: str, form: type[BaseModel]) -> Iterator[str]:
    """Settings of that very name in another section, or else of the most similar name."""
    known = [f"{name}.{one}" for name, field in form.model_fields.items() for one in _settings(field.annotation)]
    last = key.rpartition(".")[2]
    same = [one for one in known if one.rpartition(".")[2] == last]
    yield from same or get_close_matches(key, [*known, *form.model_fields], n=1, cutoff=0.75)


def _settings(form: Any) -> Iterable[str]:
    return form.model_fields if isinstance(form, type) and issubclass(form, BaseModel) else ()


def _may_be_secret(key: str, value: Any) -> bool:
    """Whether it may hold a password, as in `s3://user:password@bucket`; such a value is not repeated."""
    text = repr(value)
    return "@" in text or (key.startswith("store") and ":" in text.replace("s3://", ""))


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"There is no configuration file {path}.") from None
    except PermissionError as error:
        raise ConfigError(f"The configuration file cannot be read. {explain_unreadable(error)}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"The configuration file {path} cannot be read as TOML: {error}.") from None


def _with_own_paths(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Files named in a settings file are looked for beside it first, wherever the task runs."""
    for section, key in _FILES:
        named = values.get(section, {}).get(key) if isinstance(values.get(section, {}), dict) else None
        if isinstance(named, list):
            values[section][key] = [_beside(folder, one) for one in named]
        elif named is not None and (key != "backbone" or str(named).endswith(".keras")):  # else it is a name
            values[section][key] = _beside(folder, named)
    return values


def _beside(folder: Path, named: Any) -> Any:
    there = isinstance(named, str) and named and (folder / named).exists()
    return str((folder / named).resolve()) if there else named
