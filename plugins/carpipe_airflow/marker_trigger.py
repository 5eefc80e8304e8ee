"""The waiting of `marker_wait`, as it runs in the triggerer: hundreds of these share one process."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from carpipe.errors import CarpipeError, UnavailableError

log = logging.getLogger(__name__)

# Seconds between two looks for the object.
LOOK_S = 60.0


class MarkerTrigger(BaseTrigger):
    """Looks for an object every minute; in the triggerer, with the connection's credentials.

    Args:
        store: settings of the bucket, without secrets: they are kept in Airflow's database.
        until: ISO 8601; it is over then, also for a triggerer that has started anew meanwhile.
    """

    def __init__(self, store: dict[str, Any], *, key: str, until: str, look_s: float = LOOK_S):
        super().__init__()
        self.store, self.key, self.until, self.look_s = store, key, until, look_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Where the class is, and its arguments."""
        arguments = {"store": self.store, "key": self.key, "until": self.until, "look_s": self.look_s}
        return "carpipe_airflow.marker_trigger.MarkerTrigger", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event: `state` is `there`, `late`, or `error` with `kind` and `message`."""
        from asgiref.sync import sync_to_async

        while True:
            try:
                if await sync_to_async(self._is_there, thread_sensitive=False)():
                    yield TriggerEvent({"state": "there"})
                    return
            except UnavailableError as error:
                log.warning("%s", error)
            except CarpipeError as error:
                yield TriggerEvent({"state": "error", "kind": type(error).__name__, "message": str(error)})
                return
            if datetime.now(UTC) >= datetime.fromisoformat(self.until):
                yield TriggerEvent({"state": "late"})
                return
            await asyncio.sleep(self.look_s)

    def _is_there(self) -> bool:
        from carpipe.config import StoreConfig
        from carpipe.storage import Store
        from carpipe_airflow.s3_access import find_access

        return Store(StoreConfig(**self.store), access=find_access()).head(self.key) is not None
