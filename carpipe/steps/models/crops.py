"""The crops of a dataset's photos, also of those that it has no use for: what is dropped behind `crop` has one too."""

import logging

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.manifest import Manifest
from carpipe.names import shown
from carpipe.steps.session import Session

log = logging.getLogger(__name__)

# Stages behind `crop`: what they have dropped has a crop too.
BEHIND = ("identify", "classes", "split")


def crops_of(session: Session, data: Manifest) -> dict[str, str]:
    """Manifest key of the crops by partition, found by the chain of results that a dataset was made from.

    Raises:
        InputError: a result of the chain does not say what it was made from.
        MissingError: one is gone.
    """
    found = data
    for _ in BEHIND:
        if not found.inputs:
            raise InputError(f"{found.key} does not say what it was made from.")
        found = manifest.read(session.store, found.inputs[0])
    return {key.split("/")[2]: key for key in found.inputs if key.startswith("stages/crop/")}


def readable(jpegs: dict[str, bytes], cropped: Manifest) -> dict[str, bytes]:
    """The crops that are pictures: one that is none must not cost the others their answers."""
    from carpipe.pictures.model_input import check_jpeg

    found = {}
    for key, jpeg in jpegs.items():
        try:
            check_jpeg(jpeg)
        except InputError as error:
            log.warning("The crop of %s in %s is not answered: %s", shown(key), cropped.key, error)
        else:
            found[key] = jpeg
    return found
