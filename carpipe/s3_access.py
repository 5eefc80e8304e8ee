"""How to get into a bucket: keys that requests can be signed with, and authorities whose servers are trusted.

Where nobody hands over any, the AWS chain counts: keys in the environment, which obstore reads itself; else what boto3
finds, where it is installed: profiles, SSO, `credential_process`, and the roles of pods, containers and machines. The
last three obstore finds without it.
"""

import logging
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carpipe.backports import UTC
from carpipe.config import is_signable, odd_credentials
from carpipe.errors import AccessError, CarpipeError, ConfigError, UnavailableError

if TYPE_CHECKING:
    from obstore.store import S3Credential

# Temporary credentials are asked for again so often. botocore renews them in time: ten minutes before they end.
ASK_AGAIN = timedelta(minutes=8)
KEYS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
# What a keeper of keys answers that may pass.
TOO_MANY, SERVER_ERROR = 429, 500
NO_KEYS = (
    "There are no keys for the bucket. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the "
    "machine or pod a role that may use it"
)


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
    """Options of obstore's store for credentials and region; empty: what it finds itself.

    Args:
        access: None: the AWS chain.

    Raises:
        ConfigError: no request can be signed with them, or a profile cannot be read.
        AccessError: the chain has none.
    """
    if access is None:
        if odd := odd_credentials():
            raise _unsignable(" and ".join(odd))
        there = {name for name in KEYS if os.environ.get(name)}
        if there == KEYS:
            return {}
        if there:
            raise ConfigError(f"{', '.join(there)} is set, and {', '.join(KEYS - there)} is not. Set both, or neither.")
        access = _chain()
    if access is None:
        return {}
    if not is_signable(access.region):
        raise _unsignable("The connection's region")
    region = {"region": access.region} if access.region else {}
    return {"credential_provider": partial(_signable, access.credentials), **region}


def asking(credentials: Any) -> "Callable[[], S3Credential]":
    """Credentials of botocore, as `Access` takes them."""

    def ask() -> "S3Credential":
        now = credentials.get_frozen_credentials()
        return {
            "access_key_id": now.access_key,
            "secret_access_key": now.secret_key,
            "token": now.token,
            "expires_at": datetime.now(UTC) + ASK_AGAIN if now.token else None,
        }

    return ask


def _chain() -> Access | None:
    """What boto3 finds; None where it is not installed.

    Raises:
        AccessError: it finds nothing, or what it finds is of no use.
        UnavailableError: who keeps the keys does not answer.
        ConfigError: a profile is named that only boto3 could read.
    """
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ModuleNotFoundError:
        if profile := os.environ.get("AWS_PROFILE"):
            raise ConfigError(
                f"AWS_PROFILE names the profile {profile!r}, and profiles take boto3, which is not installed: "
                "`pip install boto3`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
            ) from None
        return None

    logging.getLogger("botocore.credentials").setLevel(logging.ERROR)  # a traceback of what is said in a sentence
    try:
        session = boto3.Session()
        credentials = session.get_credentials()
    except (BotoCoreError, ClientError) as error:
        raise _told(error) from error
    if credentials is None:
        raise AccessError(f"{NO_KEYS}.")
    ask = asking(credentials)

    def asked() -> "S3Credential":
        try:
            return ask()
        except (BotoCoreError, ClientError) as error:
            raise _told(error) from error

    region = "" if os.environ.get("AWS_REGION") else session.region_name or ""  # boto3 knows AWS_DEFAULT_REGION
    return Access(asked, region=region)


def _told(error: Exception) -> CarpipeError:
    """What boto3 raises, as ours: it says whether trying again can help."""
    from botocore.exceptions import HTTPClientError, MetadataRetrievalError

    status = getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    passing = (
        isinstance(error, HTTPClientError | MetadataRetrievalError) or status == TOO_MANY or status >= SERVER_ERROR
    )
    kind = UnavailableError if passing else AccessError
    again = " Sign on anew: `aws sso login`." if "SSO" in str(error) else ""
    return kind(f"The AWS chain gives no keys for the bucket: {str(error).rstrip('.')}.{again}")


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
