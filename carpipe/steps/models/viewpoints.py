"""Which view a photo is of: a head fitted and judged while a car filter is evaluated, where people have labelled views.

The filter's own weights and probabilities stay what they are. Without view labels nothing of this happens.
"""

import hashlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from carpipe.errors import InputError
from carpipe.manifest import Manifest
from carpipe.names import counted
from carpipe.steps import results
from carpipe.steps.models.beside import Beside
from carpipe.steps.session import Session
from carpipe.steps.viewpoints.photo_set import Wanted, find_wanted, view_set
from carpipe.viewpoints import RECOMMENDED
from carpipe.weights import contract

if TYPE_CHECKING:
    import pandas as pd

    from carpipe.training.viewpoints import See

log = logging.getLogger(__name__)

# Kernel and bias of the head; in the model itself they are part of the network.
HEAD = "viewpoints.npz"
# Photos to train on, at most: mirrored ones come on top, and features of both take 0.4 GB.
MAX_PHOTOS = 10_000


def wanted_views(session: Session, trained: Manifest, data: Manifest) -> Wanted | None:
    """The photos with view labels, where it is a car filter that is judged and there are any."""
    return find_wanted(session, data) if trained.partition == "car_filter" else None


def find_views(session: Session, trained: Manifest, wanted: Wanted) -> Beside:
    """Fit the head and judge it on cars that neither it nor the filter was trained on. No files: none are told.

    Its facts are `why`, a sentence, `views`, those that are told, and their `figures`.
    """
    from carpipe.evaluation.viewpoints import too_few, views_to_tell
    from carpipe.photos import kept

    try:
        done = view_set(session, wanted)
    except InputError as error:
        return _nothing(f"No views are told: {error}")
    photos = kept(results.read_photos(session.store, done))
    names = views_to_tell(photos["class_name"], photos["split"])
    few = _few(too_few(photos["class_name"], photos["split"]))
    if len(names) < 2:
        return _nothing(f"No views are told: {counted(len(photos), 'photo')} with a view label can be used. {few}")
    jpegs = results.read_blobs(session.store, done, results.THUMBNAILS)
    with results.local_file(session.store, trained, results.MODEL) as path:
        from carpipe.training.viewpoints import load_grid

        see = load_grid(path)
    if see is None:
        return _nothing("No views are told: the backbone does not end in global average pooling.")
    return _fit(photos[photos["class_name"].isin(names)], jpegs, names, see=see, why=few, source=done.key)


def _fit(
    photos: "pd.DataFrame", jpegs: dict[str, bytes], names: Sequence[str], *, see: "See", why: str, source: str
) -> Beside:
    import numpy as np

    from carpipe.evaluation import viewpoints as evaluation
    from carpipe.viewpoints import mirrored

    parts = dict(iter(photos.groupby("split")))
    train = parts["train"] = _some(parts["train"])
    views = {name: rows["class_name"].to_numpy(object) for name, rows in parts.items()}
    seen = {name: see([jpegs[key] for key in rows["key"]], False) for name, rows in parts.items()}
    turned = see([jpegs[key] for key in train["key"]], True)
    other = np.array([mirrored(view) for view in views["train"]], dtype=object)
    both, truth = np.concatenate([seen["train"], turned]), np.concatenate([views["train"], other])
    head = evaluation.fit_head(both, truth, names)
    head, temperature = evaluation.calibrated(head, seen["val"], views["val"])
    figures = evaluation.judge(head, seen["test"], views["test"], parts["test"]["vehicle"].tolist())
    facts = {"views": list(names), "why": why, "set": source, "train_photos": len(train), "figures": figures}
    log.info("evaluate: %d views are told, %.4g of %d test photos right. %s", len(names), figures["accuracy"],
             figures["photos"], why)  # fmt: skip
    packed = head.to_npz()
    described = {
        "views": list(names),
        "recommended": [view for view in RECOMMENDED if view in names],
        "temperature": temperature,
        "figures": figures,
        "head": hashlib.sha256(packed).hexdigest(),
    }
    files = {HEAD: packed, contract.VIEWS: results.to_json(described)}
    return Beside(facts, files, outputs=lambda jpegs, _: {"views": head.of(see(jpegs, False))})


def _some(photos: "pd.DataFrame") -> "pd.DataFrame":
    """`MAX_PHOTOS` of them, by a digest of the name: as good as drawn at random, and the same every time."""
    order = photos["key"].map(lambda key: hashlib.sha256(str(key).encode()).hexdigest())
    return photos.loc[order.sort_values().index[:MAX_PHOTOS]]


def _nothing(why: str) -> Beside:
    return Beside({"views": [], "why": why})


def _few(counts: dict[str, int]) -> str:
    """A sentence about the views that have too few labels."""
    if not counts:
        return "Every view has labels enough."
    from carpipe.evaluation.viewpoints import told_enough

    named = ", ".join(f"{view} ({photos:,})" for view, photos in counts.items())
    return f"Too few photos are labelled as {named}. {told_enough()}"
