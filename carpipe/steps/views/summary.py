"""What came of a run, for people at the end of it: funnel, splits, accuracy, keys."""

from collections.abc import Iterator

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.figures import figure, label
from carpipe.manifest import Manifest
from carpipe.names import shown
from carpipe.steps.session import Session
from carpipe.steps.views.funnel import read_funnel, render_funnel
from carpipe.steps.views.new_models import told_new_models
from carpipe.weights.channel import read_channel

SCORES = ("test_accuracy", "test_top5_accuracy", "test_macro_f1")


def summary(session: Session, *, dataset: Manifest, evaluation: Manifest, model: str, verdict: str) -> str:
    """The closing words of a run.

    Args:
        model: manifest key of the trained model.
        verdict: what the gate said of it.
    """
    release = read_channel(session.store, session.config.classifier.channel)
    figures = evaluation.extra["metrics"]
    splits = ", ".join(f"{name} {dataset.extra['splits'].get(name, 0):,}" for name in ("train", "val", "test"))
    scores = ", ".join(f"{label(name)} {figure(figures[name])}" for name in SCORES if name in figures)
    rows = [
        ("classes", f"{len(dataset.extra['classes'])}, {dataset.extra['vehicles']:,} vehicles"),
        ("photos", splits),
        ("test", f"{scores} on {figures['test_photos']:.0f} photos of cars the model was not trained on"),
        *(("training", said) for said in _started(session, evaluation)),
        ("dataset", f"{session.store.url}/{dataset.key}"),
        ("weights", f"{session.store.url}/{model}"),
        ("gate", verdict),
        (
            "channel",
            f"{release.channel}, generation {release.generation}: {release.model}" if release else "nothing is live",
        ),
    ]
    if new := told_new_models(session, dataset):
        rows.append(("new", new))
    return (
        render_funnel(read_funnel(session, dataset.key))
        + "\n\n"
        + "\n".join(f"{name:<10} {text}" for name, text in rows)
    )


def _started(session: Session, evaluation: Manifest) -> Iterator[str]:
    """How the model's training started; nothing where that is not known."""
    try:
        start = manifest.read(session.store, evaluation.extra["trained"]).extra["start"]
        yield shown(f"started {start['kind']}: {start['why']}")
    except (MissingError, InputError, KeyError, TypeError):
        return  # deleted since, or of carpipe 0.1, which knew no warm ones
