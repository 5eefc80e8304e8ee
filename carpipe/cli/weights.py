"""`carpipe weights ...`: what is live, what could be, and going forward and back."""

import argparse
from pathlib import Path
from typing import Any

from carpipe.cli.common import ID, Commands, add, check_out, now, reader, say_written, session
from carpipe.config import Config
from carpipe.names import shown


def add_command(commands: Commands) -> None:
    """Declare it."""
    parent = commands.add_parser(
        "weights", help="published models: list, show, compare, promote, roll back, pull, sign, verify"
    )
    actions = parent.add_subparsers(title="actions", required=True, metavar="ACTION")
    command = add(actions, "list", _list, "every model of a channel, and what was live, when and why")
    command.add_argument("channel")
    command = add(actions, "show", _show, "figures of a model, and what the gate said of it")
    command.add_argument("channel")
    command.add_argument("model", nargs="?", help=f"{ID}; default: the live one")
    command = add(actions, "compare", _compare, "how a model differs from the live one: figures, classes, settings")
    command.add_argument("channel")
    command.add_argument("model", help=f"{ID}, as `weights list` prints it")
    command.add_argument(
        "--with", dest="other", metavar="MODEL", help="default: the live one; for that, the one before it"
    )
    command.add_argument("--out", type=Path, metavar="HTML", help="write the page with pictures here")
    command = add(actions, "promote", _promote, "make any model the live one, an older one too")
    command.add_argument("channel")
    command.add_argument("model", help=f"{ID}, as `weights list` prints it")
    command.add_argument("--reason", default="by hand")
    command = add(actions, "rollback", _rollback, "make the model live again that was so before")
    command.add_argument("channel")
    command.add_argument("--reason", default="rolled back by hand")
    command = add(actions, "pull", _pull, "download a model with its report, every file checked")
    command.add_argument("channel")
    command.add_argument("folder", type=Path)
    command.add_argument("--model", help=f"{ID}; default: the live one")
    command = add(actions, "sign", _sign, "sign a model with signing.key: an old one, or with another key")
    command.add_argument("channel")
    command.add_argument("--model", help=f"{ID}; default: the live one")
    command.add_argument("--key", help="PEM file of the private key; default: signing.key")
    command = add(actions, "verify", _verify, "whether a model is what was published, and by whom: 0 if so, else 1")
    command.add_argument("channel")
    command.add_argument("--model", help=f"{ID}; default: the live one")
    command.add_argument("--trusted", action="append", metavar="PEM", help="a key to trust; default: signing.trusted")


def _list(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.views.weights import list_weights

    print(list_weights(reader(config), options.channel))


def _show(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.views.weights import show_weights

    print(show_weights(reader(config), options.channel, options.model))


def _compare(options: argparse.Namespace, config: Config) -> None:
    from carpipe.names import shown_text
    from carpipe.steps.models.comparison import compare_named

    check_out(options.out)
    summary, page = compare_named(session(config), options.channel, options.model, other=options.other, at=now())
    if options.out:
        options.out.write_bytes(page)
        say_written(options.out)
    print(shown_text(summary))


def _promote(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.models.publish import promote

    at, opened = now(), session(config)
    release = promote(opened, options.channel, options.model, run=f"cli-{at}", at=at, reason=options.reason)
    unchanged = "" if release.run == f"cli-{at}" else " was live already; nothing was changed"
    print(shown(f"{release.channel} generation {release.generation}: {release.model}{unchanged}"))


def _rollback(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.models.publish import rollback

    at = now()
    release = rollback(session(config), options.channel, run=f"cli-{at}", at=at, reason=options.reason)
    print(shown(f"{release.channel} generation {release.generation}: {release.model}"))


def _pull(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.models.weights import pull_weights

    print(pull_weights(reader(config), options.channel, options.model, folder=options.folder))


def _sign(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.models.signatures import sign_weights

    opened = session(_with(config, key=options.key) if options.key else config)
    print(sign_weights(opened, options.channel, options.model))


def _verify(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.models.signatures import verify_weights
    from carpipe.steps.session import Session
    from carpipe.storage import Store

    config = _with(config, trusted=tuple(options.trusted)) if options.trusted else config
    opened = Session(config, Store(config.store))  # which only reads: apps have no other rights
    print(verify_weights(opened, options.channel, options.model))


def _with(config: Config, **changes: Any) -> Config:
    return config.model_copy(update={"signing": config.signing.model_copy(update=changes)})
