"""From where the photos of a listing show its car, what the listing lacks, and which photo to put first.

The car filter's live model tells views, where people have labelled some. It is followed as the classifier is. Where
there is none, or it tells no views, listings are answered without.
"""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from carpipe.config import Config
from carpipe.errors import CarpipeError
from carpipe.pictures import encode
from carpipe.pictures.look import Visible
from carpipe.pictures.model_input import Pixels, to_batch
from carpipe.pictures.sharpness import sharpness
from carpipe.storage import Store
from carpipe.viewpoints import Shot, choose_cover, is_whole, missing_views, share_of
from carpipe.weights.channel import Release, read_channel
from carpipe.weights.client import Model, pull

log = logging.getLogger(__name__)


class Teller:
    """Keeps the live model of `serving.views_channel` loaded. Does nothing where that is empty."""

    def __init__(self, store: Store, config: Config):
        """Nothing is loaded yet."""
        self._store, self._config = store, config
        self._release: Release | None = None
        self._model: Model | None = None
        self._problem = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="carpipe-follow-views", daemon=True)

    def start(self) -> None:
        """Follow the channel in a thread of its own."""
        if self._config.serving.views_channel:
            self._thread.start()

    def stop(self) -> None:
        """Follow it no longer."""
        self._stop.set()

    def listing(self) -> "Listing":
        """The photos of one request; the model stays what it is meanwhile."""
        return Listing(self._model, self._config)

    def refresh(self) -> None:
        """Look at the channel once, and load its model if it is another. Never raises: what is wrong is logged once."""
        try:
            self._load()
            self._problem = ""
        except Exception as error:  # whatever a model does, listings are answered without views
            expected = isinstance(error, CarpipeError)
            if str(error) != self._problem:
                log.warning("channel %s: no newer views: %s", self._config.serving.views_channel, error,
                            exc_info=not expected)  # fmt: skip
            self._problem = str(error)

    def _follow(self) -> None:
        while not self._stop.is_set():
            self.refresh()
            self._stop.wait(self._config.serving.poll_s)

    def _load(self) -> None:
        settings = self._config.serving
        release = read_channel(self._store, settings.views_channel)
        if release is None or release == self._release:
            return
        cache = Path(settings.cache).expanduser() if settings.cache else None
        model = pull(self._store, settings.views_channel, cache=cache, makers=self._config.signing)
        self._model, self._release = (model if model.views else None), release
        told = f"tells {len(model.views.names)} views" if model.views else "tells no views"
        log.info("channel %s: generation %d, model %s %s", model.channel, model.generation, model.id, told)


class Listing:
    """The photos of a listing, one after the other: `next`, then `see` if it is a picture, then `find` if it is a car.

    Of each photo a thumbnail is kept, and the numbers that decide about the cover.
    """

    def __init__(self, model: Model | None, config: Config):
        """`model` is None where no views are told: then nothing is kept, and `tell` has nothing to say."""
        self._model, self._clean = model, config.clean
        self._thumbnails: list[bytes | None] = []
        self._facts: list[dict[str, Any]] = []
        self._pixels: Pixels | None = None

    def next(self) -> None:
        """Another photo comes."""
        self._thumbnails.append(None)
        self._facts.append({})
        self._pixels = None

    def see(self, photo: Visible) -> None:
        """It is a picture."""
        if self._model:
            self._pixels = photo.pixels
            small = encode.shrink(photo.pixels, self._clean.thumbnail_side)
            self._thumbnails[-1] = encode.encode_pixels(small, quality=self._clean.thumbnail_quality)

    def find(self, box: Sequence[float], size: tuple[int, int]) -> None:
        """It shows a vehicle, `box` in pixels of the whole picture of `size` (width, height)."""
        if self._pixels is None:
            return
        image = Image.fromarray(self._pixels)
        across, down = image.width / size[0], image.height / size[1]
        cut = image.crop((round(box[0] * across), round(box[1] * down), round(box[2] * across), round(box[3] * down)))
        sharp = sharpness(cut) if min(cut.size) else 0.0
        self._facts[-1] = {"whole": is_whole(box, size), "sharpness": sharp, "share": share_of(box, size)}
        self._pixels = None

    def tell(self) -> dict[str, Any]:
        """`views`, one per photo or null, `missing_views` and `cover`, a number or null; {} where no views are told."""
        model = self._model
        if model is None or model.views is None:
            return {}
        self._pixels = None
        seen = {number: jpeg for number, jpeg in enumerate(self._thumbnails) if jpeg}
        _, views = model.look_round(to_batch([*seen.values()], model.side)) if seen else (None, None)
        found: list[dict[str, Any] | None] = [None] * len(self._thumbnails)
        shots: list[Shot | None] = [None] * len(self._thumbnails)
        for number, row in zip(seen, () if views is None else views, strict=True):
            name = model.views.names[int(row.argmax())]
            found[number] = {"view": name, "p": round(float(row.max()), 4)}
            shots[number] = Shot(name, **self._facts[number])
        missing = missing_views((one["view"] for one in found if one), recommended=model.views.recommended)
        return {"views": found, "missing_views": missing, "cover": choose_cover(shots)}
