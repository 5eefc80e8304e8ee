"""`carpipe`: every step as a command, and the whole chain as one.

Results go to standard output, progress to standard error. The exit code is 0 only when the work was done; an
error is one sentence that says what to do.
"""

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from carpipe.backports import tomllib
from carpipe.cli import (
    airflow_folders,
    candidates,
    classes,
    config,
    datasets,
    doctor,
    export,
    forget,
    funnel,
    gc,
    labels,
    listings,
    photo,
    plan,
    policy,
    report,
    run,
    sample,
    serve,
    step,
    upload,
    weights,
)
from carpipe.config import load_config
from carpipe.errors import CarpipeError, explain_os_error, out_of_memory
from carpipe.names import shown, shown_text

# One command, one file of its name, in the order in which `carpipe --help` shows them.
COMMANDS = (
    run,
    sample,
    upload,
    plan,
    labels,
    listings,
    datasets,
    funnel,
    report,
    photo,
    export,
    classes,
    weights,
    serve,
    candidates,
    forget,
    gc,
    doctor,
    policy,
    config,
    airflow_folders,
    step,
)


MISSING = (
    "This needs the package {}, which is not installed here. Install the extra that brings it: "
    '`pip install "<clone>[serving]"` for `carpipe serve`, `[client]` for `carpipe weights pull`, `[signing]` for '
    "signatures, `[pipeline]` for all else."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    _print_anything()
    options = make_parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Printable("%(message)s"))
    logging.getLogger("carpipe").setLevel(logging.ERROR if options.quiet else logging.INFO)
    try:
        config = load_config(options.config, dict(options.set or ()))
        options.run(options, config)
    except CarpipeError as error:
        print(shown_text(f"carpipe: {error}"), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("carpipe: interrupted; what was committed stays, the rest can be run again.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `carpipe ... | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it flushes
        return 0
    except ModuleNotFoundError as error:
        if (error.name or "carpipe").startswith("carpipe"):  # that is ours, and a bug
            raise
        print(f"carpipe: {MISSING.format(shown(error.name or ''))}", file=sys.stderr)
        return 1
    except (MemoryError, ImportError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        print("carpipe: There is not enough memory for this; give it more, or smaller partitions.", file=sys.stderr)
        return 1
    except OSError as error:
        print(shown_text(f"carpipe: {explain_os_error(error)}"), file=sys.stderr)
        return 1
    return 0


class _Printable(logging.Formatter):
    """No name that somebody gave a photo commands the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return shown_text(super().format(record))


def _print_anything() -> None:
    """What the terminal's encoding does not have is escaped: no name that somebody gave a file stops a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def make_parser() -> argparse.ArgumentParser:
    """Everything that can be asked for."""
    parser = argparse.ArgumentParser(prog="carpipe", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--config", type=Path, metavar="TOML", help="settings; default: the file CARPIPE_CONFIG names")
    parser.add_argument(
        "--set",
        action="append",
        type=_setting,
        metavar="KEY=VALUE",
        help="override one setting, as in classes.min_photos=20",
    )
    parser.add_argument("--quiet", action="store_true", help="errors only")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_command(commands)
    return parser


def _setting(text: str) -> tuple[str, Any]:
    """A value as TOML writes it; what is no TOML is a string, so that quotes can be left out."""
    key, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, got {text!r}")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value
