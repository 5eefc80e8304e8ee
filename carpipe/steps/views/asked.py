"""What the stages asked of the photos of a dataset: the settings that its results carry, whatever today's are."""

import contextlib
import re
from collections.abc import Mapping
from typing import Any

from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.reasons import REASONS
from carpipe.steps.cache import ResultCache

# By stage, its settings.
Asked = Mapping[str, Mapping[str, Any]]
UNKNOWN: Asked = {}
# The stages from a dataset back to its photos, and the one of them that is made of all partitions.
BEFORE = ("split", "classes", "identify", "crop", "filter", "clean")
ALL = "identify"
# The setting that decides, of reasons that do not name it themselves.
DECIDED_BY = {
    "truncated": "clean.max_damage", "damaged": "clean.max_damage", "no_vehicle": "crop.confidence",
    "banner": "identify.banner_listings",
}  # fmt: skip
_SETTING = re.compile(r"\b(\w+)\.(\w+)\b")


def asked_of(cache: ResultCache, dataset: Manifest, partition: str) -> Asked:
    """What was asked of the photos of a partition, as far back as the results of a dataset are there."""
    asked, done = {}, dataset
    with contextlib.suppress(MissingError, InputError):
        for _ in BEFORE:
            if key := _made_of(done, partition):
                done = cache.manifest(key)
                asked[done.stage] = done.config
    return asked


def why_out(reason: str, asked: Asked) -> str:
    """A reason in words, with the value of the setting that decided: `p(car) is below filter.threshold = 0.7`."""
    said = REASONS.get(reason, "")
    if reason in DECIDED_BY and _with_value(DECIDED_BY[reason], asked) != DECIDED_BY[reason]:
        said += f" ({DECIDED_BY[reason]})"
    return _with_value(said, asked)


def _with_value(text: str, asked: Asked) -> str:
    def told(found: re.Match[str]) -> str:
        value = asked.get(found[1], {}).get(found[2])
        return f"{found[0]} = {value:,}" if isinstance(value, int | float) else found[0]

    return _SETTING.sub(told, text)


def _made_of(done: Manifest, partition: str) -> str | None:
    """The key of what a result was made of: first, or of one of all partitions, that partition's."""
    keys = [key for key in done.inputs if key.split("/")[2:3] == [partition]] if done.stage == ALL else done.inputs
    return keys[0] if keys else None
