"""How to get into a bucket: keys that requests can be signed with, and authorities whose servers are trusted."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carpipe.config import is_signable, odd_credentials
from carpipe.errors import ConfigError

if TYPE_CHECKING:
    from obstore.store import S3Credential


@dataclass(frozen=True)
class Access:
    """How to get into the bucket where not by the AWS chain.

    Attributes:
        credentials: called for `access_key_id`, `secret_access_key`, `token` and `expires_at` (a datetime, or None:
            never); called again before they expire, so long tasks outlive them.
        region, endpoint: empty: those of the chain. An endpoint in the settings goes first.
        ca_bundle: PEM file of authorities to trust beside the system's and those of the settings.
    """

    credentials: "Callable[[], S3Credential]" = field(repr=False)
    region: str = ""
    endpoint: str = ""
    ca_bundle: str = ""

    def to_json(self) -> dict[str, Any]:
        """With the credentials of this moment, for a process that ends before they do. Secret: only for its pipe."""
        # Without their end: nobody there could renew them.
        now = {**self.credentials(), "expires_at": None}
        return {"credentials": now, "region": self.region, "endpoint": self.endpoint, "ca_bundle": self.ca_bundle}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Access":
        """What `to_json` made."""
        return cls(lambda: data["credentials"], data["region"], data["endpoint"], data["ca_bundle"])


def credentials_of(access: Access | None) -> dict[str, Any]:
    """Options of obstore's store for credentials and region; empty: those of the AWS chain.

    Raises:
        ConfigError: no request can be signed with them.
    """
    if access is None:
        if odd := odd_credentials():
            raise _unsignable(" and ".join(odd))
        return {}
    if not is_signable(access.region):
        raise _unsignable("The connection's region")
    region = {"region": access.region} if access.region else {}
    return {"credential_provider": partial(_signable, access.credentials), **region}


def authorities_in(*bundles: str) -> bytes:
    """What PEM files hold, empty names passed over. Raises ConfigError where one cannot be read."""
    return b"\n".join(_authorities(path) for path in bundles if path)


def _signable(credentials: "Callable[[], S3Credential]") -> "S3Credential":
    now = credentials()
    odd = [name for name, value in now.items() if isinstance(value, str) and not is_signable(value)]
    if odd:
        raise _unsignable(f"The connection's {' and '.join(odd)}")
    return now


def _unsignable(what: str) -> ConfigError:
    return ConfigError(
        f"{what}: a blank, a line break or a letter beyond ASCII is in it, so no request can be signed. Set it anew; "
        "an end of line may have been copied along."
    )


def _authorities(path: str) -> bytes:
    try:
        ssl.create_default_context(cafile=path)
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"The authorities to trust, {path}, cannot be read as PEM: {error}. Correct AWS_CA_BUNDLE, "
            "store.ca_bundle, or the connection's `verify`."
        ) from None
