"""What every step starts from: a checked configuration and the bucket."""

from dataclasses import dataclass

from carpipe.config import Config
from carpipe.storage import Store


@dataclass(frozen=True)
class Session:
    """A checked configuration and an open bucket."""

    config: Config
    store: Store


def open_session(config: Config) -> Session:
    """Open the bucket, having proved that it is there and honours conditional writes.

    Raises:
        AccessError: wrong bucket, endpoint or credentials, or conditions are ignored.
        UnavailableError: the server cannot be reached.
    """
    store = Store(config.store)
    store.check()
    return Session(config, store)
