"""What every step starts from: a checked configuration and the bucket; and where its work ends up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from carpipe import manifest, metrics
from carpipe.config import Config
from carpipe.manifest import Manifest, Work
from carpipe.metrics import Metric
from carpipe.progress import UNSEEN, Progress
from carpipe.s3_access import Access
from carpipe.spent import Spent
from carpipe.storage import Store


@dataclass(frozen=True)
class Session:
    """A checked configuration and an open bucket.

    `signing_key` is the PEM that `signing.key` means where that is a connection of Airflow. It goes nowhere else. Who
    `reads_only` keeps no copies of what it has read. Steps tell `progress` how far they are.
    """

    config: Config
    store: Store
    signing_key: bytes = field(default=b"", repr=False)
    reads_only: bool = False
    progress: Progress = field(default=UNSEEN, repr=False)

    def commit(self, work: Work, files: Mapping[str, bytes], *, spent: Spent | None = None, **facts: Any) -> Manifest:
        """Commit what a step has made, as `manifest.commit` does, and send its figures if it was the first."""
        done = manifest.commit(self.store, work, files, spent=spent, **facts)
        self.send(metrics.committed(done))
        return done

    def send(self, figures: Iterable[Metric]) -> None:
        """Send figures to where `metrics.statsd` says, if anywhere."""
        metrics.send(self.config.metrics, figures)


def open_session(
    config: Config,
    *,
    access: Access | None = None,
    signing_key: bytes = b"",
    reads_only: bool = False,
    progress: Progress = UNSEEN,
) -> Session:
    """Open the bucket; whoever is the first to do so on this server proves that it honours conditional writes.

    Args:
        access: credentials, and more; None: those of the AWS chain.
        signing_key: see `Session`.
        reads_only: nothing is written before somebody does; keys that may only read are enough.
        progress: who looks on.

    Raises:
        AccessError: wrong bucket, endpoint or credentials, or conditions are ignored.
        UnavailableError: the server cannot be reached.
    """
    store = Store(config.store, access=access)
    store.look() if reads_only else store.check()
    return Session(config, store, signing_key, reads_only, progress)
