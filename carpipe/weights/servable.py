"""Whether a model can be served: `python -m carpipe.weights.servable <manifest key>`, settings of the store on stdin.

On stdin is JSON: `store`, and `access` (credentials, which are on no command line and in no environment) or null.

Run in a fresh process, it is what an app does: download, verify, load, replay the golden pictures.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from carpipe.config import StoreConfig
from carpipe.errors import CarpipeError, UnavailableError
from carpipe.s3_access import Access
from carpipe.storage import Store
from carpipe.weights.client import load

# Exit codes: the model is at fault; the bucket is, and trying again may help.
REFUSED, UNAVAILABLE = 3, 4
FORBIDDEN = ("tensorflow", "keras", "airflow")


def main(key: str) -> int:
    """Load and replay; returns the exit code, and says on stderr what is wrong."""
    try:
        with tempfile.TemporaryDirectory(prefix="carpipe-servable-") as folder:
            model = load(_store(json.load(sys.stdin)), key, cache=Path(folder))
    except UnavailableError as error:
        print(error, file=sys.stderr)
        return UNAVAILABLE
    except CarpipeError as error:
        print(error, file=sys.stderr)
        return REFUSED
    loaded = [name for name in FORBIDDEN if name in sys.modules]
    if loaded:
        print(f"The client has loaded {', '.join(loaded)}, which apps do not have.", file=sys.stderr)
        return REFUSED
    print(f"loads without TensorFlow, {len(model.classes)} classes, golden pictures off by {model.deviation:.1g}")
    return 0


def _store(job: dict[str, Any]) -> Store:
    access = Access.from_json(job["access"]) if job["access"] else None
    return Store(StoreConfig(**job["store"]), access=access)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
