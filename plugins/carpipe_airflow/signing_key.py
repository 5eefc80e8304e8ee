"""The key that models are signed with, from an Airflow connection: where `signing.key` is `connection:<id>`."""

from typing import TYPE_CHECKING

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from carpipe.errors import ConfigError

if TYPE_CHECKING:
    from carpipe.config import SigningConfig


def find_signing_key(config: "SigningConfig") -> bytes:
    """PEM of the connection that the settings name; nothing where they name a file, or none.

    The connection's password, or `private_key` in its extra, is the private key; `certificate` in its extra is the
    certificate with those above it, where there is one. Nothing of it is written anywhere.

    Raises:
        ConfigError: there is no such connection, or no key in it.
    """
    from carpipe.weights.signing_keys import CONNECTION

    if not config.key.startswith(CONNECTION):
        return b""
    name = config.key.removeprefix(CONNECTION)
    try:
        connection = Connection.get(name)
    except AirflowNotFoundException:
        raise ConfigError(
            f"There is no Airflow connection {name!r}, which signing.key names; add it, with the private key in PEM as "
            "its password."
        ) from None
    extra = connection.extra_dejson
    parts = [connection.password or extra.get("private_key") or "", extra.get("certificate") or ""]
    if not parts[0]:
        raise ConfigError(
            f"The Airflow connection {name!r} holds no key to sign models with; give it the private key in PEM as its "
            "password."
        )
    # Forms and environment variables lose line ends, or keep them as two characters.
    return "\n".join(part.replace("\\n", "\n") for part in parts).encode()
