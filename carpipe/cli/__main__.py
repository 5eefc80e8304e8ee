"""`python -m carpipe.cli`."""

import sys

from carpipe.cli import main

sys.exit(main())
