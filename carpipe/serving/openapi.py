"""The API as OpenAPI 3.1: what each route takes and answers. A test holds it against the routes and their answers.

Source: https://spec.openapis.org/oas/v3.1.0.html
"""

from typing import Any

from carpipe import __version__
from carpipe.config import ServingConfig
from carpipe.serving.schemas import SCHEMAS, Schema, each, record, ref
from carpipe.serving.uploads import PART

MULTIPART, JSON, BYTES = "multipart/form-data", "application/json", "application/octet-stream"
EXAMPLE_ID = "0123456789abcdef0123456789abcdef"
_PHOTO: Schema = {"type": "string", "contentMediaType": BYTES, "description": "a photo of one car"}
# Beside what a route answers itself.
_REFUSALS = {
    "400": "the request is not understood: no photo, too many, no proper JSON",
    "403": "sent by another site's page in a browser",
    "413": "too large",
    "415": "no kind of picture that is taken, or packed by Content-Encoding",
    "503": "busy, or no model yet; Retry-After says when to come again",
}


def base_of(config: ServingConfig) -> str:
    """Where samples ask. The page puts in its own address."""
    return f"http://127.0.0.1:{config.port or 5000}{config.path}"


def openapi(config: ServingConfig) -> dict[str, Any]:
    """The document, with the limits of these settings."""
    base = base_of(config)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "carpipe serve",
            "version": __version__,
            "summary": "Make and model of the car on a photo.",
            "description": "Errors are JSON, too: a sentence in `error`, a word for programs in `reason`. Any route "
            "may answer 400, 405 or 431 before it looks at a request, and 503 where too much is being sent.",
        },
        "servers": [{"url": config.path or "/"}],
        "paths": {
            "/predict": {"post": _predict(config, base)},
            "/predict/listing": {"post": _listing(config, base)},
            "/feedback": {"post": _feedback(base)},
            "/classes": {"get": _classes(base)},
            "/healthz": {"get": _health(base)},
            "/openapi.json": {"get": _self(base)},
        },
        "components": {"schemas": SCHEMAS},
    }


def _predict(config: ServingConfig, base: str) -> Schema:
    return _operation(
        "predict",
        "Which car is on the photo?",
        f"One photo of at most {config.max_photo_mb} MB, in a form or as the body.",
        body=_photos({PART: _PHOTO}),
        answers={
            "200": ("the answer", "Answer"),
            "422": ("broken, too small, too costly to read, or no car", "Refusal"),
        },
        refusals=("400", "403", "413", "415", "503"),
        others={"415": "Refusal"},
        samples=[
            f"curl -F {PART}=@car.jpg {base}/predict",
            f"curl --data-binary @car.jpg -H 'Content-Type: image/jpeg' {base}/predict",
        ],
    )


def _listing(config: ServingConfig, base: str) -> Schema:
    most = config.max_listing_photos
    several = each(_PHOTO, f"up to {most} photos of one car, each in a part of this name", minItems=1, maxItems=most)
    return _operation(
        "predictListing",
        "Which car is on these photos of one listing?",
        f"One answer for all photos together, by the mean of their log-probabilities, and one for each. All together "
        f"may have {config.max_request_mb} MB, each {config.max_photo_mb} MB. Photos that cannot be used do not count.",
        body=_photos({PART: several}),
        answers={"200": ("the answers", "ListingAnswer"), "422": ("none of the photos can be used", "ListingRefusal")},
        refusals=("400", "403", "413", "415", "503"),
        samples=[f"curl -F {PART}=@front.jpg -F {PART}=@side.jpg {base}/predict/listing"],
    )


def _feedback(base: str) -> Schema:
    example = f'{{"id": "{EXAMPLE_ID}", "right": false, "class_name": "skoda_fabia"}}'
    return _operation(
        "feedback",
        "Was the answer right?",
        "Keeps the photo, scaled down, and what is said of it, for those who train the model. Answers are remembered "
        "for a while. `serving.feedback = false` turns it off.",
        body={JSON: {"schema": ref("Feedback")}},
        answers={"202": ("it will be kept", "Taken"), "404": ("the answer is not remembered", "Error")}
        | {"429": ("too much feedback just now; Retry-After says when to come again", "Error")},
        refusals=("400", "403", "413", "415"),
        samples=[f"curl -H 'Content-Type: application/json' -d '{example}' {base}/feedback"],
    )


def _classes(base: str) -> Schema:
    return _operation(
        "classes",
        "Which classes does the live model know?",
        "",
        answers={"200": ("all classes", "Classes")},
        refusals=("413", "503"),
        samples=[f"curl {base}/classes"],
    )


def _health(base: str) -> Schema:
    return _operation(
        "health",
        "Can photos be answered, and by which model?",
        "",
        answers={"200": ("yes", "Health"), "503": ("no", "Health")},
        refusals=("413",),
        samples=[f"curl {base}/healthz"],
    )


def _self(base: str) -> Schema:
    answers = {"200": {"description": "OpenAPI 3.1", "content": {JSON: {"schema": {"type": "object"}}}}}
    operation = _operation(
        "openapi", "This description", "", answers={}, refusals=("413",), samples=[f"curl {base}/openapi.json"]
    )
    return {**operation, "responses": answers | operation["responses"]}


def _photos(parts: dict[str, Schema]) -> Schema:
    return {MULTIPART: {"schema": record(parts)}, "image/*": {}, BYTES: {}}


def _operation(
    name: str,
    summary: str,
    description: str,
    *,
    answers: dict[str, tuple[str, str]],
    refusals: tuple[str, ...],
    samples: list[str],
    body: Schema | None = None,
    others: dict[str, str] | None = None,
) -> Schema:
    """A route. `others` are schemas that a refusal of that status may have beside `Error`."""
    said = {status: _json(what, ref(schema)) for status, (what, schema) in answers.items()}
    for status in refusals:
        beside = (others or {}).get(status)
        said[status] = _json(_REFUSALS[status], {"anyOf": [ref(beside), ref("Error")]} if beside else ref("Error"))
    taken = {"requestBody": {"required": True, "content": body}} if body else {}
    samples_of = {"x-codeSamples": [{"lang": "curl", "source": one} for one in samples]}
    about = {"description": description} if description else {}
    return {"operationId": name, "summary": summary, **about, **taken, "responses": said, **samples_of}


def _json(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {JSON: {"schema": schema}}}
