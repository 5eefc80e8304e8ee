"""Photos that people have labelled, as the pipeline would see them: cleaned, told apart by car, split by car."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.steps.data.inventory import forgotten_listings
from carpipe.steps.data.outage import check_unless_accepted, find_unreadable, noting_pages
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
    """The photos cleaned into thumbnails exactly as the pipeline does it, and the bytes that were read.

    Raises:
        UnavailableError: as the step `clean`: the storage must be in trouble. People's labels are not lost to that.
    """
    from carpipe.stages import clean

    source, pages = Raw(session, objects), set[str]()
    cleaned = clean.clean(noting_pages(source, pages), config=session.config.clean)
    cleaned = replace(cleaned, results=mark_too_large(cleaned.results, source))
    unreadable = find_unreadable(_as_photos(session, cleaned), pages, over_time=cleaned.over_time)
    check_unless_accepted("labelled photos", unreadable, config=session.config.clean)
    return cleaned, source.bytes


def labelled_photos(
    session: Session, cleaned: "Cleaned", labels: Mapping[str, str], *, ledger: "pd.Series[str] | None" = None
) -> "pd.DataFrame":
    """The photos as a photo table, split by vehicle whatever their label is; `class_name` is the label.

    Args:
        labels: by photo key.
        ledger: side by listing uuid, where one has a side already.
    """
    import numpy as np

    from carpipe.pictures.hashes import SIGNATURE_BYTES
    from carpipe.stages import identify
    from carpipe.stages import split as splitting

    def signatures(rows: "pd.DataFrame") -> Any:
        joined = b"".join(cleaned.signatures[key] for key in rows["key"])
        return np.frombuffer(joined, np.uint8).reshape(-1, SIGNATURE_BYTES)

    photos = _as_photos(session, cleaned)
    photos = identify.identify(photos, config=session.config.identify, signatures=signatures, ledger=ledger).photos
    photos, _ = splitting.split(photos.assign(class_name="labelled"), config=session.config.split, ledger=ledger)
    return photos.assign(class_name=photos["key"].map(labels))


def _as_photos(session: Session, cleaned: "Cleaned") -> "pd.DataFrame":
    """What was cleaned, as a photo table."""
    from carpipe import photos as table
    from carpipe.stages import inventory

    listing = (ObjectInfo(key, "", 0) for key in cleaned.results["key"])
    photos = inventory.list_photos(listing, forgotten=forgotten_listings(session))
    return table.add_results(photos, cleaned.results, stage="clean")
