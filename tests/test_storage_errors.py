"""What a server answers, as a sentence: the texts are those that obstore hands over, from real servers."""

import pytest
from obstore import exceptions

from carpipe.errors import AccessError, ConflictError, MissingError, StoreError, UnavailableError
from carpipe.storage_errors import broke_off, translate


def told(error, *, given=False):
    return translate(error, "raw/a\n.jpg", url="s3://b", where="s3://b at http://here", given=given)


def answer(status, code=""):
    body = f": <Error><Code>{code}</Code></Error>" if code else ""
    return exceptions.GenericError(f"Generic S3 error: Server returned non-2xx status code: {status}{body}")


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
        (answer(400, "ExpiredToken"), AccessError, "(ExpiredToken); renew them"),
        (answer(400, "EntityTooLarge"), StoreError, r"refused raw/a\n.jpg: EntityTooLarge."),
        (answer(405), StoreError, "HTTP 405."),
        (answer(400, "RequestTimeout"), UnavailableError, "(HTTP 400)"),
        (answer(429), UnavailableError, "(HTTP 429)"),
        (answer(503, "SlowDown"), UnavailableError, "(HTTP 503)"),
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
