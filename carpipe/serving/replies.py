"""Answers on photos as the API gives them, and what it says of a photo in which there is no car to speak of."""

from collections.abc import Mapping
from typing import Any

from carpipe.pictures.photo_error import PhotoError
from carpipe.weights.client import Answer, Model


class NoCarError(PhotoError):
    """A picture in which no car was found that is large enough. The detector errs, so people may say that it did.

    Attributes:
        small: the photo as it may be kept; empty where feedback is off.
        id: feedback names it by that; None where there can be none.
    """

    def __init__(self, reason: str, message: str, *, small: bytes):
        super().__init__(reason, message)
        self.small = small
        self.id: str | None = None


def reply_of(answer: Answer) -> dict[str, Any]:
    """What is said of a photo's car, and of that of a listing."""
    return {
        "prediction": answer.name,
        "score": round(answer.score, 4),
        "sure": answer.sure,
        "known": answer.known,
        "familiarity": None if answer.familiarity is None else round(answer.familiarity, 3),
        "years": answer.years,
        "make": _make(answer.name),
        "top5": [{"class": name, "make": _make(name), "score": round(score, 4)} for name, score in answer.top],
    }


def facts_of(error: PhotoError) -> dict[str, Any]:
    """What programs are told of a photo that cannot be used, beside that sentence: `reason`, `format`, `id`."""
    facts = {"reason": error.reason, "format": error.format, "id": getattr(error, "id", None)}
    return {name: value for name, value in facts.items() if value is not None}


def refused_answer(error: NoCarError, model: Model) -> Mapping[str, Any]:
    """What is kept with feedback on a photo without a car.

    Whoever reads candidates wants a prediction and a score, versions before this one too: there is none of both.
    """
    return {"success": False, **facts_of(error), "prediction": "", "score": 0.0, "model": version_of(model)}


def version_of(model: Model) -> dict[str, Any]:
    """Which model has answered."""
    return {"channel": model.channel, "generation": model.generation, "id": model.id}


def _make(class_name: str) -> str:
    """Classes are called `<make>_<model>`."""
    return class_name.split("_")[0]
