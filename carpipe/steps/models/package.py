"""Package: everything that an app needs of a judged model, under `models/<channel>/<id>/`.

A packaged model is complete, and nobody's yet: apps see it once a channel names it. It is signed here, where it is
made and its content is known, and so before it can go live.
"""

import hashlib
import logging
from typing import Any

from carpipe import manifest
from carpipe.config import TrainingConfig
from carpipe.errors import InputError
from carpipe.manifest import Manifest, Work
from carpipe.steps import results
from carpipe.steps.models import viewpoints, years
from carpipe.steps.models.answers import PREDICTIONS
from carpipe.steps.models.evaluate import TOP_ANSWERS
from carpipe.steps.models.package_check import CARD, CLASS_CHANGES, DESCRIPTION, Contents, compare, named
from carpipe.steps.models.train import Model
from carpipe.steps.models.unknown import MEANS
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session
from carpipe.weights import channel, contract, signing
from carpipe.weights.card import model_card
from carpipe.weights.channel import Committed
from carpipe.weights.signatures import InBucket
from carpipe.weights.signing_keys import SigningKey, load_key

log = logging.getLogger(__name__)

VERSION = 3
# Files of an evaluation that are not published: they name photos, or are part of the network there.
OWN = (PREDICTIONS, MEANS, years.HEAD, viewpoints.HEAD, *TOP_ANSWERS.values())
# Fields of what this file puts together, as each package of this VERSION has them. One that comes later is not named
# here: older models lack it. See "A field in a committed object" in docs/architecture.md.
_FIRST = {
    DESCRIPTION: {"contract", "classes", "metrics", "dataset", "trained"},
    contract.PREPROCESSING: {"input", "side", "resize"},
}


def package(session: Session, evaluated: str, *, model: Model) -> Manifest:
    """Commit `models/<channel>/<id>/`: everything that an app needs, the manifest with the sha256 of each file last.

    Then sign it, where the settings name a key; also one that is there and was not signed before it was killed.

    What another version of carpipe has made, with more in it or without what came later, is taken over and not signed:
    where signing is set up, only if a key that is trusted has signed it; else with a warning that names what differs.

    Raises:
        InputError: under its key lies something else: who may write `models/` knows the key beforehand.
    """
    config: TrainingConfig = getattr(session.config, model)
    judged = manifest.read(session.store, evaluated)
    work = package_work(config, evaluated, model=model)
    done = manifest.find(session.store, work, whole=False)
    key = load_key(session.config.signing, session.signing_key)
    contents = _contents(session, judged, h5=config.h5)
    if done is None:
        done = session.commit(work, contents.files, counts={}, extra=contents.extra)
    committed = channel.read_model(session.store, work.key)
    if differs := compare(session.store, committed.manifest, work, contents):
        _check_maker(session, committed, key, differs)
    elif key:
        log.info("package: signed with key %s, %s", key.id, signing.sign(session.store, committed, key))
    _put_back(session, committed.manifest, contents)
    return done if done.fresh else reused(done)


def _put_back(session: Session, committed: Manifest, contents: Contents) -> None:
    """Write the files again that a model has lost, where they are those that were committed."""
    for name in manifest.lost(session.store, committed):
        entry, data = committed.files[name], contents.files.get(name)
        if data is not None and hashlib.sha256(data).hexdigest() == entry["sha256"]:
            log.warning("%s has lost %s: it is put back", committed.key, name)
            session.store.put(entry["key"], data)


def _contents(session: Session, judged: Manifest, *, h5: bool) -> Contents:
    trained = manifest.read(session.store, judged.extra["trained"])
    data = manifest.read(session.store, judged.extra["dataset"])
    files = _model_files(session, judged, trained, data, h5=h5)
    # What comes from the dataset has always been there.
    first = {**_FIRST, contract.CROP: {*data.extra.get("crop", ()), "detector"}}
    return Contents(files, _about(judged, trained, data), first)


def _about(judged: Manifest, trained: Manifest, data: Manifest) -> dict[str, Any]:
    return {
        "contract": contract.CONTRACT,
        "classes": judged.extra["classes"],
        "metrics": judged.extra["metrics"],
        "dataset": data.key,
        "trained": trained.key,
    }


def _check_maker(session: Session, found: Committed, key: SigningKey | None, differs: list[str]) -> None:
    """Take over what another version may have made, or somebody else: a signature can tell which.

    Raises:
        InputError: signing is set up, and nobody who is trusted has signed it.
    """
    model, config = found.manifest.key, session.config.signing
    said = (
        f"{model} holds all that is packaged today, but differs in {named(differs)}: another version of carpipe has "
        "made it, or somebody has put it there."
    )
    if not (key or config.trusted or config.require):
        log.warning("%s It is taken over: no keys are set up that could tell which. Look at it.", said)
        return
    try:
        by = signing.find(found, InBucket(session.store, model), config, own=key)
    except InputError as error:
        raise InputError(f"{said} Look at it before you trust it. {error}") from None
    log.info("%s It is taken over: %s.", said, f"{by.by} has signed it" if by else "signing.accept_unsigned names it")


def package_work(config: TrainingConfig, evaluated: str, *, model: Model) -> Work:
    """What `package` does with an evaluation."""
    return Work("model", VERSION, model, {"h5": config.h5}, (evaluated,), home=f"models/{config.channel}")


def _model_files(
    session: Session, judged: Manifest, trained: Manifest, data: Manifest, *, h5: bool
) -> dict[str, bytes]:
    """Everything a consumer needs; `carpipe.weights.contract` says what is what."""
    exported = _export(session, trained, judged, h5=h5)
    copied = {
        results.MODEL: trained, "history.json": trained,
        **{name: judged for name in judged.files if name not in OWN},
        **dict.fromkeys(exported.files, exported),
        **({results.TAXONOMY: data} if results.TAXONOMY in data.files else {}),
    }  # fmt: skip
    files = {name: manifest.read_file(session.store, source, name) for name, source in copied.items()}
    side = trained.config["image_size"]
    files[contract.LABELS] = results.to_json(trained.extra["classes"])
    files[contract.PREPROCESSING] = results.to_json(
        {"input": f"uint8 RGB (n, {side}, {side}, 3)", "side": side, "resize": "stretch, bilinear, antialiased"}
    )
    if "crop" in data.extra:
        files |= _crop_files(session, data)
    if "class_changes" in data.extra:
        files[CLASS_CHANGES] = results.to_json(data.extra["class_changes"])
        files[contract.MEMBERS] = results.to_json(_members(session, data))
    files[CARD] = model_card(trained, judged).encode()
    return files


def _members(session: Session, data: Manifest) -> dict[str, dict[str, int]]:
    """The car models that each class of a dataset holds, with their photos."""
    from carpipe.photos import CORRECTED, counted_models, kept

    photos = kept(results.read_photos(session.store, data, columns=["model", "class_name", "dropped"], also=CORRECTED))
    found: Any = photos.assign(model=counted_models(photos)).groupby(["class_name", "model"]).size()
    members: dict[str, dict[str, int]] = {}
    for (name, model), number in found.to_dict().items():
        members.setdefault(name, {})[model] = number
    return members


def _export(session: Session, trained: Manifest, judged: Manifest, *, h5: bool) -> Manifest:
    """Commit the model in other forms: a result of its own, with names by content.

    Two exports need not be equal to the byte. A package has plain names, so it must hold copies only. Where the
    evaluation has class means, or what tells years or views, they become part of the network.
    """
    means, newer, views = _means(session, judged), _newer(session, judged), _views(session, judged)
    inputs = (trained.key, judged.key) if means or newer or views else (trained.key,)
    work = Work("export", 1, trained.partition, {"h5": h5}, inputs)
    if done := manifest.find(session.store, work):
        return reused(done)
    from carpipe.training.export import export_h5, export_portable

    with results.local_file(session.store, trained, results.MODEL) as path:
        files = export_portable(path, means=means, newer=newer, views=views)
        if h5:
            history = manifest.read_json(session.store, trained, "history.json")
            files[_h5_name(history)] = export_h5(path)
    return session.commit(work, files, counts={})


def _means(session: Session, judged: Manifest) -> tuple[Any, Any] | None:
    from carpipe.evaluation.likeness import from_npz

    if MEANS not in judged.files:
        return None
    means = from_npz(manifest.read_file(session.store, judged, MEANS))
    return means.middle, means.directions


def _newer(session: Session, judged: Manifest) -> tuple[Any, Any] | None:
    from carpipe.evaluation.years import from_npz

    if years.HEAD not in judged.files:
        return None
    head = from_npz(manifest.read_file(session.store, judged, years.HEAD))
    return head.middle, head.weights


def _views(session: Session, judged: Manifest) -> tuple[Any, Any] | None:
    from carpipe.evaluation.viewpoints import from_npz

    if viewpoints.HEAD not in judged.files:
        return None
    return from_npz(manifest.read_file(session.store, judged, viewpoints.HEAD))


def _crop_files(session: Session, data: Manifest) -> dict[str, bytes]:
    """How photos were cut, and the detector that found the cars: an app must cut them alike."""
    detector = {name: entry for name, entry in data.files.items() if name.startswith("detector/")}
    folder = {name.split("/")[1] for name in detector}
    if len(folder) != 1:
        raise InputError(
            f"{data.key} holds no detector; it was made by an earlier version. Run `prepare_dataset` again."
        )
    policy = {**data.extra["crop"], "detector": f"detector/{folder.pop()}"}
    return {
        contract.CROP: results.to_json(policy),
        **{name: manifest.read_file(session.store, data, name) for name in detector},
    }


def _h5_name(history: list[dict[str, float]]) -> str:
    """The name that the published project's apps look for: `model.<epoch>-<val_loss>-<val_accuracy>.h5`."""
    best = min(history, key=lambda epoch: epoch["val_loss"])
    return f"model.{best['epoch']:02.0f}-{best['val_loss']:.2f}-{best['val_accuracy']:.2f}.h5"
