"""What a server answers, as a sentence: the texts are those that obstore hands over, from real servers."""

import pytest
from obstore import exceptions

from carpipe.errors import AccessError, ConflictError, MissingError, StoreError, UnavailableError
from carpipe.storage_errors import broke_off, translate


def told(error, *, given=False):
    return translate(error, "raw/a\n.jpg", url="s3://b", where="s3://b at http://here", given=given)


def answer(status, code="", message="", *, verb="PUT", more="", url="http://here/b/raw"):
    words = f"<Message>{message}</Message>" if message else ""
    body = f": <?xml?><Error><Code>{code}</Code>{words}{more}</Error>" if code else ""
    return exceptions.GenericError(
        f"Generic S3 error: Error performing {verb} {url} in 2ms - Server returned non-2xx status code: {status}{body}"
        "\n\nDebug source:\nGeneric { store: S3 }"
    )


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (exceptions.AlreadyExistsError("x"), ConflictError, r"raw/a\n.jpg in s3://b at http://here was written by"),
        (exceptions.PreconditionError("x"), ConflictError, "was written by somebody else first"),
        (FileNotFoundError("x"), MissingError, r"There is no object raw/a\n.jpg in"),
        (answer(404, "NoSuchBucket"), AccessError, "There is no bucket s3://b here"),
        (answer(403, "RequestTimeTooSkewed"), UnavailableError, "clock"),
        (answer(403, "SignatureDoesNotMatch"), AccessError, "(SignatureDoesNotMatch); check AWS_ACCESS_KEY_ID"),
        (answer(401), AccessError, "(HTTP 401); check AWS_ACCESS_KEY_ID"),
        (answer(403, verb="HEAD"), AccessError, r"look at raw/a\n.jpg (HTTP 403); check AWS_ACCESS_KEY_ID"),
        (
            answer(403, "AccessDenied", "User: arn:aws:iam::1:user/x is not authorized to perform: kms:Decrypt"),
            AccessError, r"write raw/a\n.jpg (AccessDenied: User: arn:aws:iam::1:user/x is not authorized to perform: "
            "kms:Decrypt); give them the right",
        ),
        (
            answer(403, "AccessDenied", "Access Denied because object protected by object lock.", verb="DELETE"),
            StoreError, r"delete raw/a\n.jpg (AccessDenied: Access Denied because object protected by object lock). "
            "The object is locked or must be kept",
        ),
        (answer(400, "ExpiredToken"), AccessError, "(ExpiredToken). These credentials have ended"),
        (answer(400, "EntityTooLarge"), StoreError, r"does not write raw/a\n.jpg (EntityTooLarge)."),
        (
            answer(403, "InvalidObjectState", "Not valid for the object&apos;s storage class", verb="GET"),
            StoreError, r"not read raw/a\n.jpg (InvalidObjectState: Not valid for the object's storage class). The "
            "object is in an archive, such as Glacier; restore it",
        ),
        (
            answer(301, "PermanentRedirect", "Another endpoint", more="<Region>eu-central-1</Region>"),
            AccessError, "s3://b is in the region eu-central-1, and was asked for in another one",
        ),
        (
            answer(400, "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong; expecting 'eu-west-3'"),
            AccessError, "Set AWS_REGION=eu-west-3, or the region of the connection",
        ),
        (
            exceptions.GenericError("this normally indicates an incorrectly configured region"),
            AccessError, "s3://b is in another region than the one it was asked for in",
        ),
        (answer(507, "XMinioStorageFull", "Storage backend is full"), UnavailableError, "no room for more"),
        (answer(400, "ThrottlingException", "You have exceeded the rate"), UnavailableError, "lower store.threads"),
        (answer(403, "QuotaExceeded", "Bucket quota exceeded"), UnavailableError, "have the quota raised"),
        (answer(501, "NotImplemented", "A header you sent"), AccessError, "takes If-Match and If-None-Match"),
        (
            answer(403, url="http://169.254.169.254/latest/api/token"), AccessError,
            "There are no keys for the bucket. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or "
            "give the machine or pod a role that may use it (http://169.254.169.254 gives none: 403).",
        ),
        (
            exceptions.GenericError(
                "Generic S3 error: Error performing POST https://sts.eu-west-1.amazonaws.com in 2s - HTTP error: no way"
            ),
            UnavailableError, "(https://sts.eu-west-1.amazonaws.com gives none: no way)",
        ),
        (
            exceptions.GenericError(
                "Generic S3 error: DeleteObjects request failed for key raw/a: Access Denied. (code: AccessDenied)\n\nx"
            ),
            AccessError, r"does not let these credentials delete raw/a\n.jpg (AccessDenied: Access Denied); give them",
        ),
        (
            exceptions.GenericError(
                "Generic S3 error: DeleteObjects request failed for key raw/a: Try again. (code: InternalError)\n\nx"
            ),
            UnavailableError, "is in trouble (InternalError: Try again)",
        ),
        (answer(405), StoreError, "(HTTP 405)."),
        (answer(400, "RequestTimeout"), UnavailableError, "(RequestTimeout)"),
        (answer(429), UnavailableError, "(HTTP 429); try again later"),
        (answer(503, "SlowDown", "Please reduce your request rate."), UnavailableError, "lower store.threads"),
        (answer(500, "InternalError", "We encountered an internal error."), UnavailableError, "has its disk room?"),
        (
            answer(403, "AccessDenied", "no", verb="GET", url="http://here/b?list-type=2&prefix=raw"),
            AccessError, r"does not let these credentials list raw/a\n.jpg",
        ),
        (exceptions.GenericError("x: HTTP error: connection closed"), UnavailableError, "(connection closed)"),
        (exceptions.GenericError("first line\nsecond"), UnavailableError, "(first line)"),
        (ValueError('Path "a//b" contained empty path segment'), StoreError, "The key 'a//b' in"),
    ],
)  # fmt: skip
def test_every_answer_is_a_sentence_of_its_kind(error, kind, sentence):
    found = told(error)
    assert type(found) is kind
    assert sentence in str(found)
    assert "\n" not in str(found)


def test_whose_keys_are_to_be_checked_is_said():
    assert "check the connection's keys" in str(told(answer(403), given=True))


def test_what_is_none_of_the_store_s_stays_as_it_is():
    error = KeyError("x")
    assert told(error) is error


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Generic S3 error: HTTP error: error sending request", True),
        ("Generic S3 error: after 8 retries, HTTP error: x", False),
        ("Generic S3 error: x\nHTTP error: y", False),
    ],
)
def test_only_a_broken_connection_that_nobody_has_retried_is_tried_again(text, expected):
    assert broke_off(exceptions.GenericError(text)) is expected
