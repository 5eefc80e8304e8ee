"""What a person says of a listing on a page."""

from datetime import UTC, datetime
from typing import Any

from fastapi import HTTPException, Request

from carpipe.errors import InputError
from carpipe.steps.listings.store import correct_listing
from carpipe.steps.views.review import known_names


def decide(request: Request, index: Any, listing: str, to: str, *, by: str) -> None:
    """Keep it. Raises HTTPException with a sentence where nothing is called so."""
    cache = request.app.state.bucket.cache
    known = known_names(cache, index, listing)
    try:
        correct_listing(cache.session, listing, to, known=known, at=datetime.now(UTC).isoformat(), by=by)
    except InputError as error:
        raise HTTPException(422, str(error)) from None
