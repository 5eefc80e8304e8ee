"""One run, one way: the partitions that come together were cleaned, filtered and cut with the same settings."""

from collections.abc import Mapping, Sequence

from carpipe.errors import InputError
from carpipe.manifest import Manifest


def check_alike(lineage: Mapping[str, Sequence[Manifest]]) -> None:
    """Whether no partition was made otherwise than the others, by any of its stages.

    Args:
        lineage: by stage, the result of each partition.

    Raises:
        InputError: one was. It names two of them and what differs: settings that were changed while the run was under
            way, or that another machine has.
    """
    for parts in lineage.values():
        for part in parts[1:]:
            if other := _different(parts[0], part):
                raise InputError(
                    f"The partitions {parts[0].partition} and {part.partition} were not made alike by `{part.stage}`: "
                    f"{', '.join(other)}. Settings were changed while the run was under way, or a machine has others. "
                    "Run the DAG again, with the same settings everywhere."
                )


def _different(one: Manifest, other: Manifest) -> list[str]:
    """What differs, as `name 1 and 2`."""
    known = [{"version": part.version, **part.config, **part.weights} for part in (one, other)]
    names = sorted({*known[0], *known[1]})
    pairs = ((name, known[0].get(name), known[1].get(name)) for name in names)
    return [f"{name} {before!r} and {after!r}" for name, before, after in pairs if before != after]
