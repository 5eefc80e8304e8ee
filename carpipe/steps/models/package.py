"""Package: everything that an app needs of a judged model, under `models/<channel>/<id>/`.

A packaged model is complete, and nobody's yet: apps see it once a channel names it. It is signed here, where it is
made and its content is known, and so before it can go live.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from carpipe import forms, manifest
from carpipe.config import TrainingConfig
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest, Work
from carpipe.names import shown_text
from carpipe.steps import results
from carpipe.steps.models.evaluate import PREDICTIONS
from carpipe.steps.models.train import Model
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session
from carpipe.weights import channel, contract, signing
from carpipe.weights.card import model_card
from carpipe.weights.signing_keys import load_key

log = logging.getLogger(__name__)

VERSION = 3


def package(session: Session, evaluated: str, *, model: Model) -> Manifest:
    """Commit `models/<channel>/<id>/`: everything that an app needs, the manifest with the sha256 of each file last.

    Then sign it, where the settings name a key; also one that is there and was not signed before it was killed.

    Raises:
        InputError: under its key lies something else: who may write `models/` knows the key beforehand.
    """
    config: TrainingConfig = getattr(session.config, model)
    judged = manifest.read(session.store, evaluated)
    work = package_work(config, evaluated, model=model)
    done = manifest.find(session.store, work)
    key = load_key(session.config.signing, session.signing_key)
    trained = manifest.read(session.store, judged.extra["trained"])
    data = manifest.read(session.store, judged.extra["dataset"])
    files, about = _model_files(session, judged, trained, data, h5=config.h5), _about(judged, trained, data)
    if done is None:
        done = session.commit(work, files, counts={}, extra=about)
    committed = channel.read_model(session.store, work.key)
    more = _check(session, committed.manifest, work, files, about)
    if key and not more:
        log.info("package: signed with key %s, %s", key.id, signing.sign(session.store, committed, key))
    elif key:
        log.warning(
            "%s is not signed: another version of carpipe has made it, with more in %s. Look at it, then sign it with "
            "`carpipe weights sign`.", work.key, ", ".join(map(shown_text, more)),
        )  # fmt: skip
    return done if done.fresh else reused(done)


def _about(judged: Manifest, trained: Manifest, data: Manifest) -> dict[str, Any]:
    return {
        "contract": contract.CONTRACT,
        "classes": judged.extra["classes"],
        "metrics": judged.extra["metrics"],
        "dataset": data.key,
        "trained": trained.key,
    }


def _check(
    session: Session, found: Manifest, work: Work, files: Mapping[str, bytes], about: dict[str, Any]
) -> list[str]:
    """Refuse what does not hold all that this step would make: nothing else is judged, signed, or goes live.

    Returns:
        Files with more in them than this version writes; a later one may have made them.
    """
    did = replace(
        work, stage=found.stage, version=found.version, partition=found.partition, config=found.config,
        inputs=tuple(found.inputs), weights=found.weights,
    )  # fmt: skip
    made = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    there = {name: entry["sha256"] for name, entry in found.files.items()}
    other = sorted(name for name in made if made[name] != there.get(name))
    wrong = [name for name in other if not _has_grown(session, found, name, files[name])]
    if did.fingerprint != work.fingerprint or not _holds(found.extra, about):
        wrong.append("its description")
    if wrong:
        raise InputError(
            f"{work.key} is not what is packaged today: {', '.join(map(shown_text, wrong))} would differ. Another "
            "version of carpipe has made it, or somebody has put it there. Look at it. Where it is to be made anew, "
            f"delete everything under {work.key.rpartition('/')[0]}/, and run this again."
        )
    return other + sorted({*there} - {*made}) + ([] if found.extra == about else ["its description"])


def _has_grown(session: Session, found: Manifest, name: str, data: bytes) -> bool:
    """Whether a file holds what this version would write, and more: fields of JSON, or other words on the card."""
    if name not in found.files or not name.endswith((".json", ".md")):
        return False
    try:
        there = manifest.read_file(session.store, found, name)
        return name == "README.md" or _holds(forms.parse(there, key=name, what="JSON"), json.loads(data))
    except (InputError, MissingError):
        return False


def _holds(found: Any, ours: Any) -> bool:
    if isinstance(ours, dict) and isinstance(found, dict):
        return all(name in found and _holds(found[name], value) for name, value in ours.items())
    return bool(found == ours)


def package_work(config: TrainingConfig, evaluated: str, *, model: Model) -> Work:
    """What `package` does with an evaluation."""
    return Work("model", VERSION, model, {"h5": config.h5}, (evaluated,), home=f"models/{config.channel}")


def _model_files(
    session: Session, judged: Manifest, trained: Manifest, data: Manifest, *, h5: bool
) -> dict[str, bytes]:
    """Everything a consumer needs; `carpipe.weights.contract` says what is what."""
    exported = _export(session, trained, h5=h5)
    copied = {
        results.MODEL: trained, "history.json": trained,
        **{name: judged for name in judged.files if name != PREDICTIONS},
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
        files["class_changes.json"] = results.to_json(data.extra["class_changes"])
    files["README.md"] = model_card(trained, judged).encode()
    return files


def _export(session: Session, trained: Manifest, *, h5: bool) -> Manifest:
    """Commit the model in other forms: a result of its own, with names by content.

    Two exports need not be equal to the byte. A package has plain names, so it must hold copies only.
    """
    work = Work("export", 1, trained.partition, {"h5": h5}, (trained.key,))
    if done := manifest.find(session.store, work):
        return reused(done)
    from carpipe.training.export import export_h5, export_portable

    with results.local_file(session.store, trained, results.MODEL) as path:
        files = export_portable(path)
        if h5:
            history = manifest.read_json(session.store, trained, "history.json")
            files[_h5_name(history)] = export_h5(path)
    return session.commit(work, files, counts={})


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
