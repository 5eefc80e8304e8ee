"""`carpipe` as the task of one DAG run: every attempt has the same run id, which a command makes from its clock."""

import sys
from unittest.mock import patch

from carpipe.cli import main

if __name__ == "__main__":
    with patch("carpipe.cli.step.now", lambda: "2026-01-02T00:00:00Z"):
        sys.exit(main())
