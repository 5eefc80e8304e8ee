"""What a person says of a listing on a page."""

from datetime import UTC, datetime
from typing import Any

from fastapi import Request

from carpipe.errors import InputError
from carpipe.steps.listings.store import correct_listing
from carpipe.steps.views.review import known_names


def decide(request: Request, index: Any, listing: str, to: str, *, by: str) -> str:
    """Keep it. Returns why it cannot be, a sentence; empty where it is kept."""
    cache = request.app.state.bucket.cache
    known = known_names(cache, index, listing)
    try:
        correct_listing(
            cache.session, listing, to, known=known, at=datetime.now(UTC).isoformat(), by=by,
            read=cache.get(("corrections",), dict),
        )  # fmt: skip
    except InputError as error:
        return str(error)
    return ""
