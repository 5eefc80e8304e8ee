"""What the API's answers look like, as JSON Schema: the components of `openapi`.

Fields may be added to any answer, so no schema forbids more than it names.
"""

from typing import Any

from carpipe.serving.refusals import SAYS
from carpipe.viewpoints import VIEWS

Schema = dict[str, Any]


def ref(name: str) -> Schema:
    """A schema of `SCHEMAS`, by name."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(properties: dict[str, Schema], *, optional: tuple[str, ...] = (), **more: Any) -> Schema:
    """An object with these fields, of which some may lack."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties, **more}


def text(description: str, **more: Any) -> Schema:
    """A string."""
    return {"type": "string", "description": description, **more}


def number(description: str, **more: Any) -> Schema:
    """A number."""
    return {"type": "number", "description": description, **more}


def flag(description: str, **more: Any) -> Schema:
    """True or false."""
    return {"type": "boolean", "description": description, **more}


def each(items: Schema, description: str, **more: Any) -> Schema:
    """An array."""
    return {"type": "array", "items": items, "description": description, **more}


def or_null(schema: Schema) -> Schema:
    """The schema, or null."""
    return {**schema, "type": [schema["type"], "null"]}


ID = {"pattern": "^[0-9a-f]{32}$"}
SHARE = {"minimum": 0, "maximum": 1}
SUCCESS, FAILURE = flag("true", const=True), flag("false", const=False)
REASONS = ", ".join(f"`{reason}`" for reason in SAYS)

CAR = {
    "prediction": text("the likeliest class, `<make>_<model>`"),
    "score": number("its probability, calibrated", **SHARE),
    "sure": flag("whether the score reaches the model's threshold"),
    "known": or_null(flag("whether the car is of any class at all; null: the model does not say")),
    "familiarity": or_null(number("what `known` was decided by: 0 is a photo of a known car as they are on average")),
    "years": or_null(
        each({"type": "integer"}, "first and last year the car is likely to be of", minItems=2, maxItems=2)
    ),
    "make": text("the class's make"),
    "top5": each(ref("Candidate"), "the likeliest classes, the best one first", maxItems=5),
}
LISTING = {
    "views": each(ref("View"), "of each photo, from where it shows the car; only where `serving.views_channel` is set"),
    "missing_views": each(text("a view", enum=list(VIEWS)), "views a good listing has, and none of the photos shows"),
    "cover": or_null({"type": "integer", "description": "number of the photo to put first, from 0", "minimum": 0}),
}
PHOTOS = each({"anyOf": [ref("Answer"), ref("Refusal")]}, "of each photo, in their order")

SCHEMAS: dict[str, Schema] = {
    "Answer": record(
        {
            "success": SUCCESS,
            **CAR,
            "box": each({"type": "number"}, "x0, y0, x1, y1 of the car, in pixels", minItems=4, maxItems=4),
            "width": {"type": "integer", "description": "pixels of the upright picture"},
            "height": {"type": "integer", "description": "pixels of the upright picture"},
            "model": ref("Model"),
            "id": text("of the answer; feedback names it", **ID),
        }
    ),
    "ListingAnswer": record(
        {"success": SUCCESS, **CAR, **LISTING, "photos": PHOTOS, "model": ref("Model")}, optional=tuple(LISTING)
    ),
    "ListingRefusal": record(
        {
            "success": FAILURE,
            "photos": PHOTOS,
            **LISTING,
            "model": ref("Model"),
            "error": text("a sentence for people"),
            "reason": text("`no_usable_photo`", const="no_usable_photo"),
        },
        optional=tuple(LISTING),
    ),
    "Refusal": record(
        {
            "success": FAILURE,
            "error": text("a sentence for people"),
            "reason": text(f"a word for programs: {REASONS}", enum=list(SAYS)),
            "format": text("what the file is, where that is known and it is not read"),
            "id": text("feedback may name it, where a picture was looked at and no car found", **ID),
        },
        optional=("format", "id"),
    ),
    "Error": record(
        {"success": FAILURE, "error": text("a sentence for people"), "reason": text("a word for programs")}
    ),
    "Candidate": record({"class": text("`<make>_<model>`"), "make": text("its make"), "score": number("", **SHARE)}),
    "View": or_null(record({"view": text("a view", enum=list(VIEWS)), "p": number("its probability", **SHARE)})),
    "Model": record(
        {
            "channel": text("that it is live in"),
            "generation": {"type": "integer", "description": "grows with each release"},
            "id": text("of the model; its files never change"),
        }
    ),
    "Feedback": record(
        {
            "id": text("of an answer, or of a refusal that has one", **ID),
            "right": flag("whether it is right"),
            "class_name": text("what it is: letters, digits, spaces and . + & / -", minLength=1, maxLength=80),
        },
        optional=("class_name",),
    ),
    "Taken": record({"success": SUCCESS}),
    "Classes": record({"success": SUCCESS, "classes": each({"type": "string"}, "all names"), "model": ref("Model")}),
    "Health": record(
        {
            "success": flag("whether photos can be answered"),
            "model": {"anyOf": [ref("Model"), {"type": "null"}], "description": "what is live"},
            "polled_s_ago": or_null(number("seconds since the channel was read")),
            "problem": text("why there is no model, or no newer one; else empty"),
        }
    ),
}
