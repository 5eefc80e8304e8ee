"""Whether a model can be served: `python -m carpipe.weights.servable <manifest key>`.

Run in a fresh process, it is what an app does: download, verify, load, replay the golden pictures. Settings and access
come on standard input (`carpipe.children`).
"""

import sys
import tempfile
from pathlib import Path

from carpipe import children
from carpipe.errors import CarpipeError, InputError
from carpipe.storage import Store
from carpipe.weights.client import load

# Exit codes: the model is at fault; or that was not found out: the bucket is away, rights or a setting are missing.
REFUSED, UNKNOWN = 3, 4
FORBIDDEN = ("tensorflow", "keras", "airflow")


def main(key: str) -> int:
    """Load and replay; returns the exit code, and says on stderr what is wrong."""
    try:
        with tempfile.TemporaryDirectory(prefix="carpipe-servable-") as folder:
            config, access = children.listen(sys.stdin.read())
            model = load(Store(config.store, access=access), key, cache=Path(folder))
    except InputError as error:
        print(error, file=sys.stderr)
        return REFUSED
    except CarpipeError as error:
        print(error, file=sys.stderr)
        return UNKNOWN
    loaded = [name for name in FORBIDDEN if name in sys.modules]
    if loaded:
        print(f"The client has loaded {', '.join(loaded)}, which apps do not have.", file=sys.stderr)
        return REFUSED
    print(f"loads without TensorFlow, {len(model.classes)} classes, golden pictures off by {model.deviation:.1g}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
