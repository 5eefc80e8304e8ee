"""What an S3 server or the way to it has made of a request, as one sentence for the user that says what to do.

The class says whether trying again can help. obstore hands the server's answer over as text.
"""

import re

from obstore import exceptions

from carpipe.errors import AccessError, ConflictError, MissingError, StoreError, UnavailableError
from carpipe.names import shown


def translate(error: Exception, key: str, *, url: str, where: str, given: bool) -> Exception:
    """What obstore has raised, as an error of carpipe; as it is, where it is none of obstore's.

    Args:
        key: what the request was for; an object, or a prefix of some.
        url: of the bucket.
        where: the bucket and its server, for messages.
        given: whether the keys come from the connection, not from the AWS chain.
    """
    text = str(error)
    status, code = _answer(text)
    if wrong := _no_way_in(text, url, where):
        return wrong
    if isinstance(error, exceptions.AlreadyExistsError | exceptions.PreconditionError):
        return ConflictError(f"{shown(key)} in {where} was written by somebody else first.")
    if isinstance(error, FileNotFoundError):
        return MissingError(f"There is no object {shown(key)} in {where}.")
    if code == "RequestTimeTooSkewed":
        return UnavailableError(
            f"{where} finds the clock of this machine wrong ({code}); set it right, then try again."
        )
    if status in ("401", "403"):
        keys = "the connection's keys" if given else "AWS_ACCESS_KEY_ID and its secret"
        return AccessError(f"{where} refuses these credentials ({code or f'HTTP {status}'}); check {keys}.")
    if isinstance(error, ValueError | exceptions.InvalidPathError):
        return impossible(key, where, text)
    if code in ("ExpiredToken", "InvalidToken", "TokenRefreshRequired"):
        return AccessError(f"{where} refuses these credentials ({code}); renew them.")
    if status.startswith("4") and status not in ("408", "409", "429") and code != "RequestTimeout":
        return StoreError(f"{where} refused {shown(key)}: {code or f'HTTP {status}'}.")
    return _in_trouble(text, status, where) if isinstance(error, exceptions.BaseError) else error


def _answer(text: str) -> tuple[str, str]:
    """The HTTP status and S3's code of an answer; empty where it has none."""
    status, code = re.search(r"status code: (\d+)", text), re.search(r"<Code>(\w+)</Code>", text)
    return status[1] if status else "", code[1] if code else ""


def _in_trouble(text: str, status: str, where: str) -> UnavailableError:
    trouble = re.search(r"HTTP error: (.+)", text)
    reason = f"HTTP {status}" if status else trouble[1] if trouble else text.partition("\n")[0]
    return UnavailableError(
        f"{where} cannot be reached or is in trouble ({reason}); is the server up, and has its disk room?"
    )


def impossible(key: str, where: str, text: str) -> StoreError:
    """A key of ours, or the name of an object that a listing has met."""
    found = re.search(r'Path "(.+?)"(?:: Encountered| contained)', text, re.DOTALL)
    name = shown(found[1] if found else key)
    return StoreError(
        f"The key '{name}' in {where} is not possible: it has control characters, empty or `..` parts. An object "
        "of that name must be renamed or deleted."
    )


def broke_off(error: Exception) -> bool:
    """Whether the connection broke during a request, and obstore did not try again itself."""
    head = str(error).split("\n", 1)[0]
    return isinstance(error, exceptions.GenericError) and "HTTP error" in head and " retries, " not in head


def _no_way_in(text: str, url: str, where: str) -> AccessError | None:
    if ours := re.search(r"credential provider: ConfigError: (.+)", text):  # carpipe's own has raised it
        return AccessError(ours[1])
    if untrusted := re.search(r"InvalidCertificate\(\s*(\w+)", text):
        return AccessError(f"The certificate of {where} is not trusted: {_why_untrusted(untrusted[1], text)}.")
    if "NoSuchBucket" in text:
        return AccessError(f"There is no bucket {url} here; create it or correct store.url ({where}).")
    return None


def _why_untrusted(reason: str, text: str) -> str:
    if reason == "UnknownIssuer":
        return "nobody known has signed it; name the PEM file of its authority in AWS_CA_BUNDLE or store.ca_bundle"
    if "CaUsedAsEndEntity" in text:
        return "it is an authority's own (CA:TRUE); give the server one that is signed by it"
    return f"{reason}; give the server one that is right"
