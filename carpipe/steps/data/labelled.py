"""Photos that people have labelled, as the pipeline would see them: cleaned, told apart by car, split by car."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.steps.data.inventory import forgotten_listings
from carpipe.steps.data.raw import Raw, mark_too_large
from carpipe.steps.session import Session
from carpipe.storage import ObjectInfo

if TYPE_CHECKING:
    import pandas as pd

    from carpipe.stages.clean import Cleaned


def deciding(session: Session, labels: Mapping[str, str], there: Iterable[ObjectInfo]) -> dict[str, Any]:
    """What decides a set of labelled photos beside the labels: settings, code, and which of the photos are there."""
    from carpipe.stages import clean, identify, split

    named = "\n".join(labels).lower()
    sections = ("clean", "identify", "split")
    return {
        **{name: getattr(session.config, name).decisive("accept_unreadable") for name in sections},
        "versions": [clean.VERSION, identify.VERSION, split.VERSION],
        "labels": manifest.digest(dict(labels)),
        "photos": manifest.digest([(info.key, info.etag) for info in there]),
        "forgotten": manifest.digest([listing for listing in forgotten_listings(session) if listing in named]),
    }


def clean_labelled(session: Session, objects: Iterable[ObjectInfo]) -> tuple["Cleaned", int]:
    """The photos cleaned into thumbnails exactly as the pipeline does it, and the bytes that were read."""
    from carpipe.stages import clean

    source = Raw(session, objects)
    cleaned = clean.clean(source, config=session.config.clean)
    return replace(cleaned, results=mark_too_large(cleaned.results, source)), source.bytes


def labelled_photos(
    session: Session, cleaned: "Cleaned", labels: Mapping[str, str], *, ledger: "pd.Series[str] | None" = None
) -> "pd.DataFrame":
    """The photos as a photo table, split by vehicle whatever their label is; `class_name` is the label.

    Args:
        labels: by photo key.
        ledger: side by listing uuid, where one has a side already.
    """
    import numpy as np

    from carpipe import photos as table
    from carpipe.pictures.hashes import SIGNATURE_BYTES
    from carpipe.stages import identify, inventory
    from carpipe.stages import split as splitting

    def signatures(rows: "pd.DataFrame") -> Any:
        joined = b"".join(cleaned.signatures[key] for key in rows["key"])
        return np.frombuffer(joined, np.uint8).reshape(-1, SIGNATURE_BYTES)

    listing = (ObjectInfo(key, "", 0) for key in cleaned.results["key"])
    photos = inventory.list_photos(listing, forgotten=forgotten_listings(session))
    photos = table.add_results(photos, cleaned.results, stage="clean")
    photos = identify.identify(photos, config=session.config.identify, signatures=signatures, ledger=ledger).photos
    photos, _ = splitting.split(photos.assign(class_name="labelled"), config=session.config.split, ledger=ledger)
    return photos.assign(class_name=photos["key"].map(labels))
