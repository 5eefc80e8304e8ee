"""What tests of lost files ask of a bucket."""

from carpipe.steps import chain


def night(session, *, now="2026-01-01T00:00:00Z"):
    """The dataset, and the stages that worked."""
    worked = set()

    def progress(stage, done):
        if done.fresh:
            worked.add(stage)

    return chain.prepare_dataset(session, now=lambda: now, progress=progress), worked


def objects(session):
    """Sizes of all objects that a dataset is made of, by key."""
    return {info.key: info.size for prefix in ("stages", "datasets") for info in session.store.list_objects(prefix)}


def files_of(session, *stages, names=""):
    """Keys of the files of stages, or of `datasets`, manifests apart."""
    return [
        key
        for key in objects(session)
        if key.split("/")[1 if key.startswith("stages") else 0] in stages
        and names in key
        and key.split("/")[2] not in ("ledger", "log")
        and not key.startswith("datasets/order")
        and not key.endswith("manifest.json")
    ]
