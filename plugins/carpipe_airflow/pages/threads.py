"""Threads of the API server that pages take: few, since tasks report to the same server while a bucket is slow."""

from collections.abc import Callable
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi.routing import APIRoute

# Of some 40; a request beyond them waits without a thread.
MAX_THREADS = 8
_limit = CapacityLimiter(MAX_THREADS)


class PageRoute(APIRoute):
    """A route whose function runs in one of the pages' threads."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any):
        super().__init__(path, _in_our_threads(endpoint), **options)


def _in_our_threads(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    if iscoroutinefunction(endpoint):  # a route that is included in another router comes by twice
        return endpoint

    @wraps(endpoint)
    async def run(**given: Any) -> Any:
        return await to_thread.run_sync(partial(endpoint, **given), limiter=_limit)

    return run
