"""A photo as a page may show it: small, re-encoded, without metadata, decoded where a hostile one does no harm."""

import json
import threading

from carpipe.errors import InputError, TooLargeError
from carpipe.names import is_odd, shown
from carpipe.steps.session import Session

SIDE = 320  # pixels of the long side
LARGE = 1600  # as a screen has
QUALITY = 80
MAX_DECODE_S = 5.0  # seconds of a processor for one: people wait, for their own and for each other's


class Previews:
    """Makes previews of photos under `raw/`. One child process decodes them, restarted when a photo ends it. It ends
    with this process, or with `with previews.child`.

    Safe to share between threads: they wait for each other, some 3 ms a photo. `store` may be another one of the same
    bucket from now on.
    """

    def __init__(self, session: Session, *, side: int = SIDE):
        from carpipe.pictures.isolation import Isolated

        clean = session.config.clean
        self.store = session.store
        self._max_bytes = clean.max_bytes
        settings = {
            "min_side": 1,
            "max_pixels": clean.max_pixels,
            "max_damage": 1.0,  # people shall see what is wrong with a photo
            "thumbnail_side": side,
            "thumbnail_quality": QUALITY,
        }
        self.child = Isolated(
            "carpipe.stages.clean_photo:clean_photo",
            json.dumps(settings),
            timeout_s=min(clean.timeout_s, MAX_DECODE_S),
            memory_mb=clean.memory_mb,
        )
        self._lock = threading.Lock()

    def jpeg(self, key: str) -> bytes:
        """The preview of a photo, of what is left of it where it is broken.

        Args:
            key: below raw/.

        Raises:
            MissingError: there is no such photo any more.
            InputError: nothing of it can be shown.
        """
        if is_odd(f"raw/{key}"):
            raise InputError(f"The photo '{shown(key)}' cannot be shown: no request can be made for such a name.")
        try:
            data = self.store.get(f"raw/{key}", max_bytes=self._max_bytes)
        except TooLargeError:
            raise InputError(
                f"{shown(key)} is larger than clean.max_bytes, {self._max_bytes:,} bytes, and is not read."
            ) from None
        with self._lock:
            (answer,) = self.child.run([data])
        if not isinstance(answer, tuple) or not answer[1]:
            raise InputError(f"Nothing of {shown(key)} can be shown: it is no photo, or none that can be decoded.")
        return answer[1]
