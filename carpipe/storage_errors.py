"""What an S3 server or the way to it has made of a request, as one sentence for the user that says what to do.

The class says whether trying again can help. obstore hands the server's answer over as text.
"""

import html
import re
from typing import NamedTuple

from obstore import exceptions

from carpipe.errors import AccessError, CarpipeError, ConflictError, MissingError, StoreError, UnavailableError
from carpipe.names import brief, shown
from carpipe.s3_access import NO_KEYS

_VERBS = {"GET": "read", "HEAD": "look at", "PUT": "write", "POST": "write", "DELETE": "delete"}
# A redirect's element, or the sentence of a signature for another region.
_REGION = r"(?:<Region>|expecting ')([\w-]+)"
CREDENTIALS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSecurity", "NotSignedUp", "UnauthorizedAccess"}
# Who gives keys to machines, containers and pods: what it answers is nothing that the bucket's server has said.
_KEEPERS = re.compile(
    r"Error performing \w+ (https?://(?:169\.254\.\d+\.\d+|\[fd00:ec2:[:\w]+\]|sts[\w.-]*\.amazonaws\.[\w.]+|"
    r"\S+?(?=/latest/(?:api/token|meta-data/))))"
)
# Codes after which it is plain what to do. Unavailable: the same request may do better later.
_RENEW = (AccessError, "These credentials have ended or are no longer good; renew them")
_SLOWER = (UnavailableError, "It is asked too often; lower store.threads, or try again later")
_FULL = (UnavailableError, "It has no room for more; delete something, or have the quota raised")
_LOCKED = (StoreError, "The object is locked or must be kept; keep such rules off the prefixes that carpipe writes")
CODES: dict[str, tuple[type[CarpipeError], str]] = {
    **dict.fromkeys(("ExpiredToken", "InvalidToken", "TokenRefreshRequired"), _RENEW),
    **dict.fromkeys(("SlowDown", "RequestLimitExceeded", "TooManyRequests", "ThrottlingException"), _SLOWER),
    **dict.fromkeys(("QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"), _FULL),
    "NotImplemented": (AccessError, "carpipe needs a server that takes If-Match and If-None-Match"),
    "RequestTimeTooSkewed": (UnavailableError, "The clock of this machine is wrong; set it right, then try again"),
    "InvalidObjectState": (
        StoreError,
        "The object is in an archive, such as Glacier; restore it, and keep such rules off carpipe's prefixes",
    ),
    "KMS.DisabledException": (AccessError, "The key that encrypts the bucket is disabled; enable it"),
    "KMS.NotFoundException": (AccessError, "The key that encrypts the bucket has gone; restore it"),
    "AccountProblem": (AccessError, "Something is wrong with the account of the bucket; ask who owns it"),
}  # fmt: skip


class Answer(NamedTuple):
    """What a server said, out of obstore's text; each is empty where it did not say it."""

    status: str
    code: str
    message: str
    region: str
    verb: str

    @property
    def words(self) -> str:
        """The server's own, on one line."""
        return ": ".join(filter(None, (self.code or (f"HTTP {self.status}" if self.status else ""), self.message)))


def translate(error: Exception, key: str, *, url: str, where: str, given: bool) -> Exception:
    """What obstore has raised, as an error of carpipe; as it is, where it is none of obstore's.

    Args:
        key: what the request was for; an object, or a prefix of some.
        url: of the bucket.
        where: the bucket and its server, for messages.
        given: whether the keys come from the connection, not from the AWS chain.
    """
    text = str(error)
    said = read_answer(text)
    if wrong := _no_way_in(text, url, where):
        return wrong
    if isinstance(error, exceptions.AlreadyExistsError | exceptions.PreconditionError):
        return ConflictError(f"{shown(key)} in {where} was written by somebody else first.")
    if isinstance(error, FileNotFoundError):
        return MissingError(f"There is no object {shown(key)} in {where}.")
    if refused := _refusal(text, said, shown(key), url=url, where=where, given=given):
        return refused
    if isinstance(error, ValueError | exceptions.InvalidPathError):
        return impossible(key, where, text, prefix=url.removeprefix("s3://").partition("/")[2].strip("/"))
    if said.status.startswith("4") and said.status not in ("408", "409", "429") and said.code != "RequestTimeout":
        return StoreError(f"{where} does not {said.verb} {shown(key)} ({said.words}).")
    return _in_trouble(text, said, where) if isinstance(error, exceptions.BaseError) else error


def _refusal(text: str, said: Answer, key: str, *, url: str, where: str, given: bool) -> CarpipeError | None:
    """What a server has refused for a reason that it names; None where it names none."""
    if said.code in CODES or "object lock" in said.message.lower():  # which has no code of its own
        kind, advice = CODES.get(said.code, _LOCKED)
        return kind(f"{where} does not {said.verb} {key} ({said.words}). {advice}.")
    if "incorrectly configured region" in text:  # a redirect that says no more
        return AccessError(
            f"{url} is in another region than the one it was asked for in. Set AWS_REGION to the bucket's, or the "
            "region of the connection."
        )
    if said.region:
        return AccessError(
            f"{url} is in the region {said.region}, and was asked for in another one ({said.words}). Set "
            f"AWS_REGION={said.region}, or the region of the connection."
        )
    keys = "the connection's keys" if given else "AWS_ACCESS_KEY_ID and its secret"
    if said.code in CREDENTIALS or said.status == "401":
        return AccessError(f"{where} refuses these credentials ({said.words}); check {keys}.")
    if said.status == "403" and not said.code:  # what was asked for by HEAD is refused without a word
        return AccessError(
            f"{where} does not let these credentials {said.verb} {key} ({said.words}); check {keys}, and what "
            "they have the right to."
        )
    if said.status == "403":
        return AccessError(
            f"{where} does not let these credentials {said.verb} {key} ({said.words}); give them the right to, "
            "see docs/operating.md."
        )
    return None


def read_answer(text: str) -> Answer:
    """What a server said, of the text of one of obstore's errors."""
    if each := re.search(r"DeleteObjects request failed for key .+?: (.*?)\.? \(code: (\w+)\)", text, re.DOTALL):
        return Answer("403" if each[2] == "AccessDenied" else "", each[2], each[1], "", "delete")
    request = re.search(r"Error performing ([A-Z]+) (\S+)", text)
    verb = _VERBS.get(request[1], "answer for") if request else "answer for"
    if request and verb == "read" and "list-type=" in request[2]:
        verb = "list"
    status, code, message, region = (
        found[1] if (found := re.search(pattern, text, re.DOTALL)) else ""
        for pattern in (r"status code: (\d+)", r"<Code>([\w.]+)</Code>", r"<Message>(.+?)</Message>", _REGION)
    )
    return Answer(
        status, code, brief(" ".join(html.unescape(message).split()).rstrip("."), max_characters=200), region, verb
    )


def _in_trouble(text: str, said: Answer, where: str) -> UnavailableError:
    if not said.status and not said.code:
        trouble = re.search(r"HTTP error: (.+)", text)
        reason = trouble[1] if trouble else text.partition("\n")[0]
        return UnavailableError(f"{where} cannot be reached ({reason}); is the server up?")
    asks = "; look at its log: has its disk room?" if said.status.startswith("5") else "; try again later."
    return UnavailableError(f"{where} is in trouble ({said.words}){asks}")


def impossible(key: str, where: str, text: str, *, prefix: str = "") -> StoreError:
    """A key of ours, or the name of an object that a listing has met; `prefix` is what all keys have before them."""
    found = re.search(r'Path "(.+?)"(?:: Encountered| contained)', text, re.DOTALL)
    name = shown(found[1].removeprefix(f"{prefix}/") if found else key)
    return StoreError(
        f"The key '{name}' in {where} is not possible: it has control characters, empty or `..` parts. An object "
        "of that name must be renamed or deleted."
    )


def broke_off(error: Exception) -> bool:
    """Whether the connection broke during a request, and obstore did not try again itself."""
    head = str(error).split("\n", 1)[0]
    return isinstance(error, exceptions.GenericError) and "HTTP error" in head and " retries, " not in head


def _no_way_in(text: str, url: str, where: str) -> AccessError | UnavailableError | None:
    if ours := re.search(r"credential provider: (Config|Access|Unavailable)Error: (.+)", text):  # carpipe has raised it
        return (UnavailableError if ours[1] == "Unavailable" else AccessError)(ours[2])
    if asked := _KEEPERS.search(text):
        reason = re.search(r"HTTP error: (.+)", text) or re.search(r"status code: (\d+)", text)
        said = reason[1] if reason else "no answer"
        kind = AccessError if re.fullmatch(r"4(?!08|29)\d\d", said) else UnavailableError
        return kind(f"{NO_KEYS} ({asked[1]} gives none: {said}).")
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
