"""Taxonomies held against the data of a dataset: for people who edit one, and for the record of what it changed."""

from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.errors import MissingError
from carpipe.manifest import Manifest
from carpipe.steps import results
from carpipe.steps.data.datasets import find_dataset, has_dataset
from carpipe.steps.moves.store import current_taxonomy
from carpipe.steps.session import Session

if TYPE_CHECKING:
    from carpipe.taxonomy.rules import Taxonomy


def check_taxonomy(session: Session | None, source: str, dataset: str | None, *, every: bool) -> tuple[str, int]:
    """Findings as text, and how many of them are errors.

    Args:
        session: None looks at the rules alone; else at what people have moved too, as a run does.
        source: `published`, `identity` or a YAML file.
        dataset: the dataset whose models must have rules; None means the newest.
        every: all notes, not the first of each kind.

    Raises:
        ConfigError: the file cannot be read or has faults; says each.
    """
    from carpipe.taxonomy.check import check, kept_without_rule, render_findings
    from carpipe.taxonomy.read import load

    taxonomy = current_taxonomy(session, source) if session else load(source)
    known = find_dataset(session, dataset) if session and has_dataset(session) else None
    models = count_models(session, known) if session and known else None
    found = [*check(taxonomy, models), *kept_without_rule(taxonomy, models or {})]
    text = (render_findings(found, max_findings=0) if every else render_findings(found)) or "Nothing found."
    if session and not known:
        text += "\nThere is no dataset yet: only the rules were looked at, not whether every model has one."
    return text, sum(finding.severity == "error" for finding in found)


def diff_taxonomy(session: Session, source: str, dataset: str | None, *, every: bool) -> str:
    """What a taxonomy, with what people have moved, would change in a dataset; None means the newest.

    Rules for models that it lacks are told of too if `every`.
    """
    from carpipe.taxonomy.diff import diff, render_diff
    from carpipe.taxonomy.twins import join_twins

    old = find_dataset(session, dataset)
    models = count_models(session, old)
    enough = {model: photos for model, photos in models.items() if photos >= session.config.classes.min_photos}
    new = join_twins(current_taxonomy(session, source), enough)  # as a run would
    return render_diff(diff(read_taxonomy(session, old), new, models, with_photos_only=not every))


def read_taxonomy(session: Session, source: Manifest) -> "Taxonomy":
    """The taxonomy that a dataset was made with."""
    from carpipe.taxonomy.read import parse

    return parse(manifest.read_file(session.store, source, results.TAXONOMY).decode(), name=source.key, committed=True)


def count_models(session: Session, source: Manifest) -> dict[str, int]:
    """Photos by model as the `classes` stage counted them: corrected ones with the model that people say."""
    from carpipe.photos import CORRECTED, counted_models
    from carpipe.taxonomy.words import DROPPED

    photos = results.read_photos(session.store, source, columns=["model", "dropped", "dropped_by"], also=CORRECTED)
    mine = photos["dropped_by"].isin(["classes", "split"]) & ~photos["dropped"].isin([*DROPPED.values()])
    there = photos[photos["dropped"].isna() | mine]
    return {str(model): int(number) for model, number in counted_models(there).value_counts().items()}


def models_of(session: Session) -> list[str]:
    """The models of the newest dataset's photos, dropped ones too; none where there is no dataset."""
    if not has_dataset(session):
        return []
    photos = results.read_photos(session.store, find_dataset(session, None), columns=["model"])
    return sorted(str(model) for model in photos["model"].dropna().unique())


def class_changes(session: Session, before: str, after: Manifest) -> dict[str, Any]:
    """Old class to new class, with photos, where the taxonomy has changed since the dataset before; else empty.

    Args:
        before: manifest key of that dataset; empty where there is none.
        after: a split, which holds the photos and the taxonomy of the dataset to come.
    """
    from carpipe.taxonomy.diff import class_map

    try:
        old = read_taxonomy(session, manifest.read(session.store, before)) if before else None
    except MissingError:
        old = None  # it has been deleted since
    if old is None:
        return {}
    new = read_taxonomy(session, after)
    if old.sha256 == new.sha256:
        return {}
    return class_map(old, new, count_models(session, after))
