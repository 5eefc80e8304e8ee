"""What the pages read of a manifest's `extra`: a manifest that lacks it costs its own place on a page, not the page."""

from carpipe.errors import InputError
from carpipe.manifest import Manifest

# By where a manifest lies.
_EXTRA: dict[str, dict[str, type]] = {
    "models": {"classes": list, "metrics": dict, "dataset": str},
    "datasets": {"classes": list, "splits": dict, "vehicles": int},
}
_COUNTS = {"datasets": ("in", "kept")}


def check_shown(done: Manifest) -> Manifest:
    """The manifest of a model or dataset, with all that a page shows of it. Raises InputError where some is missing."""
    home = done.key.partition("/")[0]
    for name, kind in _EXTRA[home].items():
        value = done.extra.get(name)
        if not isinstance(value, kind):
            raise _lacks(done, f"extra.{name} is {'missing' if value is None else 'odd'}, expected {kind.__name__}")
    if not all(isinstance(photos, int) for photos in done.extra.get("splits", {}).values()):
        raise _lacks(done, "extra.splits holds what is no number")
    for name in _COUNTS.get(home, ()):
        if not isinstance(done.counts.get(name), int):
            raise _lacks(done, f"counts.{name} is no whole number")
    return done


def _lacks(done: Manifest, reason: str) -> InputError:
    return InputError(f"{done.key} cannot be shown: {reason}.")
