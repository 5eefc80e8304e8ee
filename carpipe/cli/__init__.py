"""`carpipe`: every step as a command, and the whole chain as one.

Results go to standard output (a step prints the key of the manifest it committed), progress to standard
error. The exit code is 0 only when the work was done; an error is one sentence that says what to do.
"""

import argparse
import datetime
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from carpipe.config import Config, describe_config, load_config
from carpipe.errors import CarpipeError, InputError, explain_os_error
from carpipe.manifest import Manifest


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("carpipe").setLevel(logging.ERROR if options.quiet else logging.INFO)
    try:
        config = load_config(options.config, dict(options.set or ()))
        options.run(options, config)
    except CarpipeError as error:
        print(f"carpipe: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("carpipe: interrupted; what was committed stays, the rest can be run again.", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"carpipe: {explain_os_error(error)}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
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
    for add in (
        _add_data_commands,
        _add_stage_commands,
        _add_dataset_commands,
        _add_training_commands,
        _add_weights_commands,
    ):
        add(commands)
    return parser


Commands = Any  # argparse keeps the type of add_subparsers to itself


def _add(
    commands: Commands, name: str, run: Callable[[argparse.Namespace, Config], None], text: str
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    return command


def _add_data_commands(commands: Commands) -> None:
    command = _add(commands, "run", _run, "the whole chain without Airflow: car filter, dataset, classifier")
    command = _add(commands, "sample", _sample, "draw the sample world: photos with known truth, and labels")
    command.add_argument("folder", type=Path, help="where raw/, labels.csv and truth.csv go")
    command.add_argument("--seed", type=int, default=0, help="another seed, another world")
    command = _add(
        commands,
        "upload",
        _upload,
        "copy a folder of listing photos to raw/; what is there already is skipped",
    )
    command.add_argument("folder", type=Path, help="holds <make>_<model>_<year>/ folders")
    command = _add(commands, "labels", _labels, "add car / no-car labels from a CSV with the columns key,label")
    command.add_argument("csv", type=Path)
    command = _add(commands, "config", _config, "print every setting with its value and meaning")


def _add_stage_commands(commands: Commands) -> None:
    _add(commands, "inventory", _inventory, "cut the new photos under raw/ into partitions")
    command = _add(commands, "plan", _plan, "fix weights and partitions of a run; prints them as JSON")
    command.add_argument("inventory", help="key that `inventory` printed")
    command = _add(commands, "clean", _partition_step, "decode the photos of a partition, write thumbnails")
    command.add_argument("source", help="a partition's manifest key, from `plan`")
    command.set_defaults(step="clean")
    command = _add(commands, "filter", _filter, "drop what is not a car seen from outside")
    command.add_argument("source", help="manifest key that `clean` printed")
    command.add_argument("--weights", required=True, help="manifest key of a car filter, from `plan`")
    command = _add(commands, "crop", _partition_step, "find vehicles, cut out the largest")
    command.add_argument("source", help="manifest key that `filter` printed")
    command.set_defaults(step="crop")


def _add_dataset_commands(commands: Commands) -> None:
    command = _add(commands, "identify", _identify, "say which photos show the same car")
    command.add_argument("source", nargs="+", help="manifest keys that `crop` printed, one per partition")
    for name, source, text in (
        ("classes", "identify", "apply the taxonomy; drop rare models"),
        ("split", "classes", "put every vehicle into train, val or test"),
        ("validate", "split", "hold the split against its expectations"),
    ):
        command = _add(commands, name, _dataset_step, text)
        command.add_argument("source", help=f"manifest key that `{source}` printed")
        command.set_defaults(step=name)
    command = _add(commands, "pack", _pack, "write a partition's crops as TFRecord shards")
    command.add_argument("source", help="manifest key that `split` printed")
    command.add_argument("crop", help="manifest key that `crop` printed for the partition")
    command = _add(commands, "dataset", _dataset, "commit the dataset")
    command.add_argument("source", help="manifest key that `split` printed")
    command.add_argument("validated", help="manifest key that `validate` printed")
    command.add_argument("packed", nargs="+", help="manifest keys that `pack` printed")
    command = _add(commands, "funnel", _funnel, "photos in, dropped per reason and kept, stage by stage")
    command.add_argument("--json", action="store_true", help="for machines")
    command.add_argument("--dataset", help="manifest key; default: the newest dataset")
    command = _add(commands, "export", _export, "lay a dataset out as data/{train,val,test}/<class>/*.jpg")
    command.add_argument("folder", type=Path)
    command.add_argument("--dataset", help="manifest key; default: the newest dataset")


def _add_training_commands(commands: Commands) -> None:
    _add(commands, "label-set", _label_set, "make the labelled photos a dataset to train the car filter on")
    command = _add(commands, "train", _train, "train on a dataset or label set")
    command.add_argument("model", choices=("car_filter", "classifier"))
    command.add_argument("dataset", help="manifest key")
    command = _add(commands, "evaluate", _evaluate, "judge a trained model on its test split")
    command.add_argument("trained", help="manifest key that `train` printed")
    command = _add(commands, "publish", _publish, "publish an evaluated model and make it live")
    command.add_argument("model", choices=("car_filter", "classifier"))
    command.add_argument("evaluated", help="manifest key that `evaluate` printed")


def _add_weights_commands(commands: Commands) -> None:
    command = _add(commands, "weights", _weights, "list the releases of a channel, oldest first")
    command.add_argument("channel")
    command = _add(commands, "promote", _promote, "make a published model the live one of a channel; also an older one")
    command.add_argument("channel")
    command.add_argument("model", help="manifest key under models/")
    command.add_argument("--reason", default="by hand")


def _setting(text: str) -> tuple[str, Any]:
    """A value as TOML writes it; what is no TOML is a string, so that quotes can be left out."""
    import tomllib

    key, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, got {text!r}")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")


def _session(config: Config) -> Any:
    from carpipe.steps.session import open_session

    return open_session(config)


def _print_key(done: Manifest) -> None:
    print(done.key)


def _run(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps import chain
    from carpipe.steps.summary import summary

    session = _session(config)
    outcome = chain.run(session, run_id=f"cli-{_now()}", at=_now(), progress=lambda stage, done: None)
    print(summary(session, dataset=outcome.dataset, evaluation=outcome.evaluation, release=outcome.release))


def _sample(options: argparse.Namespace, config: Config) -> None:
    from carpipe.sample.world import draw_world

    draw_world(options.folder, seed=options.seed)
    print(options.folder)


def _upload(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.upload import upload

    done = upload(_session(config), options.folder)
    print(f"{done.uploaded} photos uploaded, {done.skipped} were there already")


def _labels(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.labels import import_labels

    print(import_labels(_session(config), options.csv.read_bytes(), at=_now()))


def _config(options: argparse.Namespace, config: Config) -> None:
    for key, value, meaning in describe_config(config):
        print(f"{key} = {json.dumps(value)}  # {meaning}")


def _inventory(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.inventory import inventory

    print(inventory(_session(config)).key)


def _plan(options: argparse.Namespace, config: Config) -> None:
    from dataclasses import asdict

    from carpipe.steps.inventory import plan

    print(json.dumps(asdict(plan(_session(config), options.inventory)), indent=1))


def _partition_step(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps import partition

    _print_key(getattr(partition, options.step)(_session(config), options.source))


def _filter(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.partition import filter_cars

    _print_key(filter_cars(_session(config), options.source, weights=options.weights))


def _identify(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.dataset import identify

    _print_key(identify(_session(config), options.source))


def _dataset_step(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps import dataset

    _print_key(getattr(dataset, options.step)(_session(config), options.source))


def _pack(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.dataset import pack

    _print_key(pack(_session(config), options.source, options.crop))


def _dataset(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.dataset import dataset

    _print_key(dataset(_session(config), options.source, options.validated, options.packed))


def _funnel(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.summary import read_funnel, render_funnel

    entries = read_funnel(_session(config), options.dataset)
    print(json.dumps(entries, indent=1) if options.json else render_funnel(entries))


def _export(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.export import export

    print(f"{export(_session(config), options.folder, options.dataset)} photos written to {options.folder}")


def _label_set(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.labels import label_set

    _print_key(label_set(_session(config)))


def _train(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.training import train

    _print_key(train(_session(config), options.dataset, model=options.model))


def _evaluate(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.training import evaluate

    _print_key(evaluate(_session(config), options.trained))


def _publish(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.training import publish

    now = _now()
    release = publish(_session(config), options.evaluated, model=options.model, run=f"cli-{now}", at=now)
    print(f"{release.channel} generation {release.generation}: {release.model}")


def _weights(options: argparse.Namespace, config: Config) -> None:
    from carpipe.weights.channel import history

    releases = history(_session(config).store, options.channel)
    if not releases:
        names = f"{config.classifier.channel} and {config.car_filter.channel}"
        raise InputError(f"Nothing was ever published to channel {options.channel}; the channels are {names}.")
    for release in releases:
        print(f"{release.generation:>4}  {release.at}  {release.model}  {release.run}  {release.reason}")


def _promote(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.training import promote

    now = _now()
    release = promote(_session(config), options.channel, options.model, run=f"cli-{now}", at=now, reason=options.reason)
    print(f"{release.channel} generation {release.generation}: {release.model}")


if __name__ == "__main__":
    sys.exit(main())
