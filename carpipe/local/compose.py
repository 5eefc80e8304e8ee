"""`docker-compose.airflow.yml` as data: its services, with variables filled in as Compose does."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from carpipe.errors import InputError

# https://docs.docker.com/reference/compose-file/interpolation/; $$ is a dollar sign, a default may be a variable.
_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+)(?:(?P<kind>:[-?])(?P<rest>(?:\$\{[^}]*\}|[^}])*))?\}|(?P<wrong>.?))"
)


@dataclass(frozen=True)
class Service:
    """What one service runs, with what environment, and how it is told to be well."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    check: tuple[str, ...]
    """Its health check, as a command; empty for one that runs once and ends."""


def read_services(
    text: str, variables: Mapping[str, str], *, replace: Mapping[str, str] | None = None
) -> dict[str, Service]:
    """The services of a Compose file by name, in its order.

    Args:
        text: the file.
        variables: what `.env` would hold.
        replace: other words for whole words of the file, such as ports and folders; variables' values are left alone.

    Raises:
        InputError: a variable that must be set is not.
    """
    services = _replaced(yaml.safe_load(text)["services"], replace or {})
    return {name: _service(name, fill_in(entry, variables)) for name, entry in services.items()}


def find_compose_file() -> Path:
    """The file of the checkout we are in."""
    path = Path("docker-compose.airflow.yml")
    if not path.exists():
        raise InputError(f"There is no {path} here: run this in the folder of carpipe.")
    return path


def _replaced(value: Any, words: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(item, words) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, words) for item in value]
    if not isinstance(value, str) or not words:
        return value
    pattern = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
    return re.sub(rf"(?<![\w.])(?:{pattern})(?![\w.])", lambda found: words[found[0]], value)


def fill_in(value: Any, variables: Mapping[str, str]) -> Any:
    """A value of the file, with every `${NAME}`, `${NAME:-default}` and `${NAME:?message}` replaced."""
    if isinstance(value, dict):
        return {key: fill_in(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [fill_in(item, variables) for item in value]
    return _VARIABLE.sub(lambda found: _value(found, variables), value) if isinstance(value, str) else value


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    name, kind, rest = found["name"], found["kind"], found["rest"]
    if found["escaped"]:
        return "$"
    if name is None:
        raise InputError(f"A lone $ in the Compose file, before {found['wrong']!r}: write $$.")
    value = variables.get(name, "")
    if not value and kind != ":-":
        raise InputError(f"The Compose file needs {name}: {rest or 'it is not set'}.")
    return value or str(fill_in(rest, variables))


def _service(name: str, entry: Mapping[str, Any]) -> Service:
    kind, *check = (entry.get("healthcheck") or {}).get("test") or ["NONE"]
    return Service(
        name=name,
        command=(*entry.get("entrypoint", ()), *entry["command"]),
        environment={key: str(value) for key, value in (entry.get("environment") or {}).items()},
        check=("sh", "-c", *check) if kind == "CMD-SHELL" else tuple(check),
    )
