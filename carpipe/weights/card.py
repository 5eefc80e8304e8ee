"""The model card: what a model is, what it was trained on and how well it does, as one page of Markdown.

Source of the form: M. Mitchell et al., "Model Cards for Model Reporting", 2019.
"""

from collections.abc import Mapping
from typing import Any

from carpipe.config import ClassifierConfig, TrainingConfig
from carpipe.figures import FIGURES, label, meaning
from carpipe.manifest import Manifest
from carpipe.names import brief, shown


def model_card(trained: Manifest, judged: Manifest) -> str:
    """The card of a trained model and its evaluation."""
    classes = trained.extra["classes"]
    named = "start" in trained.extra
    photos = "photos cut as `crop.json` says" if trained.partition == "classifier" else "whole photos"
    # The card of a training of carpipe 0.1 stays what it was: a model that was packaged then is held against it.
    used = settings_of(trained) if named else dict(sorted(trained.config.items()))
    figures = _figures(judged.extra["metrics"]) if named else _plain_figures(judged.extra["metrics"])
    settings = "\n".join(f"| {name} | {value} |" for name, value in used.items())
    start = _start(trained.extra.get("start"))
    none = _none_of_these(judged.extra.get("known"))
    years = _years(judged.extra.get("years"))
    views = _views(judged.extra.get("views"))
    feed = f"Feed it what `preprocessing.json` says. It learnt from {photos}."
    return f"""# {trained.config["channel"]}

{backbone_of(trained)} at {trained.config["image_size"]} px, {len(classes)} classes, trained by carpipe
{trained.carpipe} in {trained.seconds:.0f} s on `{trained.extra["dataset"]}`.

Answers which of its classes a photo shows; `labels.json` lists them in the order of the output. {none} {feed}
{years}{start}
## Figures on test photos (vehicles it was not trained on)

{figures}

{views}Per class: `report_test.csv`. To check an installation, replay `golden.npz`: `pictures` in, `probabilities` out.

## Settings

| setting | value |
| --- | --- |
{settings}
"""


def _figures(metrics: Mapping[str, Any]) -> str:
    """Under the names that people use, with what each says; in `metrics.json` they have the names at the end."""
    names = [*(name for name in FIGURES if name in metrics), *(name for name in metrics if name not in FIGURES)]
    rows = [f"| {label(name)} | {show_figure(metrics[name])} | {meaning(name)} | `{name}` |" for name in names]
    return "\n".join(["| figure | value | what it says | in `metrics.json` |", "| --- | --- | --- | --- |", *rows])


def _plain_figures(metrics: Mapping[str, Any]) -> str:
    rows = [f"| {name} | {show_figure(value)} |" for name, value in metrics.items()]
    return "\n".join(["| figure | value |", "| --- | --- |", *rows])


def _none_of_these(known: object) -> str:
    """What it can say of cars of no class; an evaluation before there was a `known.json` has nothing."""
    if not isinstance(known, dict):
        return 'It cannot say\n"none of these".'
    said, why = (brief(str(known.get(name, "")), max_characters=1000) for name in ("said", "why"))
    return (
        "It also says\nwhether a photo shows a car of any of them, by the second output of the network and "
        f"`known.json`. {said} {why}\nA car that looks like one of its classes is mostly not found."
    )


def _years(years: object) -> str:
    """What it can say of years; an evaluation that was not asked for them has nothing."""
    if not isinstance(years, dict):
        return ""
    said = brief(str(years.get("said", "")), max_characters=1000)
    if "share" not in years:
        return f"\n{said}\n"
    return (
        "\nIt also says of which years a car is likely to be, by the output `year` of the network and "
        f"`years.json`.\n{said}\n"
    )


def _views(views: object) -> str:
    """Which views a car filter tells, and how well; an evaluation without view labels has nothing."""
    if not isinstance(views, dict):
        return ""
    why, figures = brief(str(views.get("why", "")), max_characters=1000), views.get("figures")
    if not isinstance(figures, dict):
        return f"## Views\n\n{why}\n\n"
    rows = [
        f"| {shown(str(name))} | {row.get('photos')} | {_share(row.get('recall'))} | {_share(row.get('precision'))} |"
        for name, row in figures.get("by_view", {}).items()
    ]
    table = "\n".join(["| view | photos | found | right when said |", "| --- | --- | --- | --- |", *rows])
    return (
        f"## Views, on {figures.get('photos')} test photos of {figures.get('vehicles')} cars it was not trained on\n\n"
        f"The second output of the network, `views`, tells from where a photo shows the car; `views.json` names them "
        f"in order. {_share(figures.get('accuracy'))} of the photos are right ({_share(figures.get('low'))} to "
        f"{_share(figures.get('high'))}, 95 % sure). {why}\n\n{table}\n\n"
    )


def _share(value: object) -> str:
    """A share in per cent; a dash where there was nothing to count."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{100 * value:.1f} %" if number else "-"  # type: ignore[operator]


def _start(start: object) -> str:
    """How the training started; a training of carpipe 0.1 does not say."""
    if not isinstance(start, dict):
        return ""
    if not start.get("chain"):
        return f"\nThe training started cold: {start.get('why')}\n"
    chain = f"{start['chain']} trainings in a row were warm" if start["chain"] != 1 else "the one before was cold"
    return f"\nThe training started warm, from `{start.get('live')}`; {chain}. Why: {start.get('why')}\n"


def settings_of(trained: Manifest) -> dict[str, Any]:
    """The settings that a training used, by name, in alphabetical order; the backbone as `backbone_of` calls it.

    Those that its manifest leaves out because they are as before they came (`Section.ADDED`) are there. Of a warm
    training those are left out that only a cold one uses.
    """
    start = trained.extra.get("start")
    unused = ClassifierConfig.COLD if isinstance(start, dict) and start.get("chain") else ()
    known = {**TrainingConfig.ADDED, **trained.config, "backbone": backbone_of(trained)}
    return {name: known[name] for name in sorted(known) if name not in unused}


def backbone_of(trained: Manifest) -> str:
    """Name of a training's backbone, for people: a file's with the sha256 of what it held."""
    name = str(trained.config["backbone"])
    if "backbone_file" not in trained.extra:
        return name
    return f"{shown(str(trained.extra['backbone_file']))} ({name})"


def show_figure(value: object) -> str:
    """A figure of a model as text: a number shortly, and whatever a later version has put there as it is."""
    return f"{value:.4g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
