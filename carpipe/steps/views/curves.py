"""Learning curves of datasets, as the page Data shows them."""

from dataclasses import dataclass

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.steps import results
from carpipe.steps.cache import ResultCache

CURVES = f"stages/{results.CURVE}/{results.WHOLE}"
PAGE = "learning_curve.html"


@dataclass(frozen=True)
class CurveView:
    """A curve: its id, and what it says in a sentence; empty where it has one point."""

    id: str
    says: str


def newest_curve(cache: ResultCache, dataset: str) -> CurveView | None:
    """The newest curve of a dataset, by the dataset's id; None where there is none that this version understands."""
    for info in cache.manifests(CURVES):
        try:
            done = cache.manifest(info.key)
        except (MissingError, InputError):  # deleted since, or of a later form
            continue
        if done.inputs[:1] == [f"datasets/{dataset}/manifest.json"] and PAGE in done.files:
            return CurveView(info.key.split("/")[3], str(done.extra.get("says", "")))
    return None


def read_curve(cache: ResultCache, curve: str) -> bytes:
    """The page of a curve, by its id. Raises InputError where there is none."""
    store = cache.session.store
    try:
        done = cache.manifest(f"{CURVES}/{curve}/manifest.json")
    except MissingError:
        raise InputError(f"There is no learning curve {curve} in {store.url}.") from None
    return manifest.read_file(store, done, PAGE)
