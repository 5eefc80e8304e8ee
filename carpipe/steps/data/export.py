"""Export: a dataset as `data/{train,val,test}/<class>/*.jpg`, for people who want folders."""

from pathlib import Path

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.steps import results
from carpipe.steps.data.datasets import find_dataset
from carpipe.steps.session import Session


def export(session: Session, folder: Path, dataset: str | None) -> int:
    """Write the crops of a dataset, in folders named after the classes' ASCII slugs; returns how many.

    Args:
        dataset: manifest key; None means the newest.

    Raises:
        InputError: there is an export in the folder already, or no such dataset.
    """
    from carpipe.photos import SPLITS
    from carpipe.taxonomy.slug import slug
    from carpipe.training.data import iter_records

    if (folder / "data").exists() and any((folder / "data").iterdir()):
        raise InputError(
            f"{folder / 'data'} holds an export already; photos of two datasets must not mix: name another."
        )
    source = find_dataset(session, dataset)
    written, photos = 0, sum(source.extra["splits"].values())
    with (
        results.local_shards(session.store, source, *SPLITS, progress=session.progress) as shards,
        session.progress.bar("export", total=photos, unit="photos") as bar,
    ):
        for split, paths in shards.items():
            for key, class_name, jpeg in iter_records(paths):
                # The year too: a photo may lie in two year folders of a model.
                year = Path(key).parent.name.rpartition("_")[2]
                path = folder / "data" / split / slug(class_name) / f"{year}_{Path(key).name}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(jpeg)
                written += 1
                bar.advance()
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for name in SPLITS:
        table = f"table_for_{name}.csv"
        (folder / "data" / table).write_bytes(manifest.read_file(session.store, source, table))
    return written
