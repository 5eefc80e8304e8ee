"""A photo in, an answer out: decoded, detected, cut and stretched by the very functions that made the training data.

It is decoded in a child process (`decoders`), since anybody may have sent it; only pixels come back.
"""

import logging
import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from carpipe.config import Config
from carpipe.errors import CarpipeError, InputError
from carpipe.pictures import encode
from carpipe.pictures.decode import PhotoError
from carpipe.pictures.detection.cut import Found, crop_photo, in_full_size
from carpipe.pictures.look import Visible
from carpipe.pictures.model_input import to_batch
from carpipe.probabilities import Probabilities, pool
from carpipe.serving.candidates import RIGHT, UNSURE, WRONG, Candidates, Memory, Seen, utc_now
from carpipe.serving.decoders import Allowance, Decoders
from carpipe.serving.live import Follower, Live
from carpipe.serving.replies import NoCarError, facts_of, refused_answer, reply_of, version_of
from carpipe.serving.viewpoints import Listing, Teller
from carpipe.serving.workers import Places, Workers
from carpipe.weights.client import Answer, Model

log = logging.getLogger(__name__)

# Of the photo that feedback and unsure answers keep: pixels of the long side, JPEG quality.
KEPT_SIDE, KEPT_QUALITY = 1024, 85
_ID = re.compile(r"[0-9a-f]{32}")
_CLASS_NAME = re.compile(r"[\w .+&/-]{1,80}")


class ForgottenError(CarpipeError):
    """The answer that feedback is about is not remembered, or was judged often enough."""


@dataclass(frozen=True)
class Looked:
    """What was made of a photo: `vehicle` in pixels of the upright picture of `size` (width, height).

    `familiarity` is None where the model does not say whether it knows the car, `newer` where it tells no years.
    """

    vehicle: Found
    size: tuple[int, int]
    probabilities: Probabilities
    familiarity: float | None
    newer: float | None
    small: bytes


class Service:
    """What the API does, without HTTP."""

    def __init__(
        self,
        follower: Follower,
        workers: Workers,
        *,
        decoders: Decoders,
        candidates: Candidates | None,
        config: Config,
        teller: Teller | None = None,
    ):
        """`candidates` is None where feedback is off, `teller` where nobody tells views."""
        self.follower = follower
        self._workers, self._decoders, self._candidates, self._config = workers, decoders, candidates, config
        self._teller = teller
        self._memory = Memory()
        self._places = Places(config.serving.queue)

    def predict(self, data: bytes, *, client: str) -> dict[str, Any]:
        """What car a photo shows.

        Args:
            data: the file.
            client: who asks (`clients.client_of`); each may spend a share of what is kept in an hour.

        Raises:
            PhotoError: the photo cannot be used; `reason` as in the photo table, or `too_expensive`. A `NoCarError`
                has the `id` that feedback may be given on.
            NotReadyError, BusyError: try again later.
        """
        live = self.follower.current()
        with self._places.taken(client):
            return self._answer(live, data, self._decoders.allowance(client))[0]

    def predict_listing(self, photos: Sequence[bytes], *, client: str) -> dict[str, Any]:
        """What car the photos of one listing show together: the mean of their log-probabilities decides.

        A photo that cannot be used has its error and does not count; `success` is whether any could. What they may cost
        together is limited (`decoders.LISTING_SHARE`): what is expensive beyond that is `too_expensive`.

        Raises:
            NotReadyError, BusyError: try again later.
        """
        live = self.follower.current()
        with self._places.taken(client):
            return self._answer_listing(live, photos, self._decoders.allowance(client))

    def feedback(self, name: str, *, right: bool, class_name: str | None, client: str) -> bool:
        """Keep what somebody says of an answer; False where there is no room for more just now.

        Raises:
            InputError: id or class name are impossible, or feedback is off.
            ForgottenError: there is no such answer, or it is too long ago.
        """
        if self._candidates is None:
            raise InputError("Feedback is turned off on this server.")
        if not _ID.fullmatch(name):
            raise InputError("id must be that of an answer: 32 hexadecimal digits.")
        if class_name is not None and not _CLASS_NAME.fullmatch(class_name):
            raise InputError("class_name must be 1 to 80 letters, digits, spaces or any of _ . + & / -")
        seen = self._memory.judged(name)
        if seen is None:
            raise ForgottenError("No answer with this id is remembered, or it was judged often enough.")
        kept = self._candidates.keep(seen, RIGHT if right else WRONG, client=client, class_name=class_name)
        if not kept:
            self._memory.take_back(name)
        return kept

    def classes(self) -> dict[str, Any]:
        """The classes that the live model knows."""
        model = self.follower.current().model
        return {"success": True, "classes": list(model.classes), "model": version_of(model)}

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Whether photos can be answered, and what is live."""
        health = self.follower.health()
        facts = {
            "model": version_of(health.live.model) if health.live else None,
            "polled_s_ago": None if health.polled_s is None else round(health.polled_s, 1),
            "problem": health.problem,
        }
        return health.live is not None, {"success": health.live is not None, **facts}

    def _answer(
        self, live: Live, data: bytes, allowance: Allowance, listing: Listing | None = None
    ) -> tuple[dict[str, Any], Looked]:
        started = time.monotonic()
        seen_photo = self._decoders.see(data, live.crop, allowance=allowance)
        if listing:
            listing.see(seen_photo)
        try:
            looked = self._workers.run(lambda: self._look(live, seen_photo))
        except NoCarError as error:
            self._remember_refused(error, live.model, client=allowance.client)
            raise
        answer = live.model.describe(looked.probabilities, familiarity=looked.familiarity, newer=looked.newer)
        reply = {
            "success": True,
            **reply_of(answer),
            "box": looked.vehicle.box,
            "width": looked.size[0],
            "height": looked.size[1],
            "model": version_of(live.model),
            "id": uuid.uuid4().hex,
        }
        if self._candidates:
            seen = Seen(reply["id"], utc_now(), looked.small, reply)
            self._memory.add(seen, client=allowance.client)
            if not answer.sure or answer.known is False:
                self._candidates.keep(seen, UNSURE, client=allowance.client)
        log.info("predict %s: %s %.3f in %.0f ms", reply["id"], answer.name, answer.score,
                 1000 * (time.monotonic() - started))  # fmt: skip
        return reply, looked

    def _look(self, live: Live, photo: Visible) -> Looked:
        """As the stages clean and crop do, with the settings of the crops that the model learnt from."""
        image, size = Image.fromarray(photo.pixels), photo.size
        if min(size) < self._config.clean.min_side:
            raise PhotoError("too_small", f"{size[0]}x{size[1]} pixels are too few.")
        with live.detectors.borrow() as detector:
            [vehicle] = detector.largest([image])
        row, jpeg = crop_photo(image, vehicle, config=live.crop.config)
        if vehicle is None or jpeg is None:
            message = "No vehicle that is large enough was found."
            raise NoCarError(row["reason"], message, small=self._small(image))
        seen = live.model.see(to_batch([jpeg], live.model.side))
        found = replace(vehicle, box=in_full_size(vehicle.box, image.size, size))
        known, newer = (None if one is None else float(one[0]) for one in (seen.familiarity, seen.newer))
        return Looked(found, size, seen.probabilities[0], known, newer, self._small(image))

    def _remember_refused(self, error: NoCarError, model: Model, *, client: str) -> None:
        """For feedback; nothing is kept unasked: of strangers' photos most without a car show none."""
        if self._candidates:
            error.id = uuid.uuid4().hex
            self._memory.add(Seen(error.id, utc_now(), error.small, refused_answer(error, model)), client=client)

    def _small(self, image: Image.Image) -> bytes:
        if self._candidates is None:
            return b""
        return encode.encode_jpeg(encode.fit(image, KEPT_SIDE), quality=KEPT_QUALITY)

    def _answer_listing(self, live: Live, photos: Sequence[bytes], allowance: Allowance) -> dict[str, Any]:
        replies: list[dict[str, Any]] = []
        usable: list[Looked] = []
        listing = self._teller.listing() if self._teller else None
        for data in photos:
            if listing:
                listing.next()
            try:
                reply, looked = self._answer(live, data, allowance, listing)
            except PhotoError as error:
                replies.append({"success": False, **facts_of(error)})
                continue
            replies.append(reply)
            usable.append(looked)
            if listing:
                listing.find(looked.vehicle.box, looked.size)
        together = reply_of(_together(live.model, usable)) if usable else {}
        together |= self._workers.run(listing.tell) if listing else {}
        return {"success": bool(usable), **together, "photos": replies, "model": version_of(live.model)}


def _together(model: Model, photos: Sequence[Looked]) -> Answer:
    """The answer on photos of one listing."""
    pooled = pool([looked.probabilities for looked in photos])
    familiarity, newer = (_mean([getattr(one, name) for one in photos]) for name in ("familiarity", "newer"))
    return model.describe(pooled, familiarity=familiarity, newer=newer, photos=len(photos))


def _mean(numbers: Sequence[float | None]) -> float | None:
    said = [one for one in numbers if one is not None]
    return sum(said) / len(said) if said else None
