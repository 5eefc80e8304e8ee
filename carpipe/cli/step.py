"""`carpipe step ...`: each task of the DAGs as a command. Prints the key of the manifest it committed."""

import argparse
from pathlib import Path

from carpipe.cli.common import ID, Commands, accepting, add, add_accept_option, check_out, now, say_written, session
from carpipe.config import Config
from carpipe.steps.results import CURVE_SHARES
from carpipe.steps.session import Session

MODELS = ("car_filter", "classifier")


def add_command(commands: Commands) -> None:
    """Declare it."""
    parent = commands.add_parser("step", help="one step of a DAG", description=__doc__)
    steps = parent.add_subparsers(title="steps, in their order", required=True, metavar="STEP")
    _add_partition_steps(steps)
    _add_dataset_steps(steps)
    _add_training_steps(steps)


def _add_partition_steps(steps: Commands) -> None:
    add(steps, "inventory", _inventory, "cut the new photos under raw/ into partitions")
    command = add(steps, "quantize", _quantize, "make networks in 8-bit numbers, where the settings ask for them")
    command.add_argument("inventory", help="key that `step inventory` printed")
    command = add(steps, "clean", _clean, "decode the photos of a partition, write thumbnails")
    command.add_argument("source", help="a partition's manifest key, from `carpipe plan --json`")
    command.add_argument("--inventory", required=True, help="key that `step inventory` printed")
    add_accept_option(command)
    command = add(steps, "filter", _filter, "drop what is not a car seen from outside")
    command.add_argument("source", help="manifest key that `step clean` printed")
    command.add_argument("--weights", required=True, help="key of a car filter, from `carpipe plan --json`, or id")
    command = add(steps, "crop", _crop, "find vehicles, cut out the largest")
    command.add_argument("source", help="manifest key that `step filter` printed")
    add_accept_option(command)


def _add_dataset_steps(steps: Commands) -> None:
    command = add(steps, "identify", _identify, "say which photos show the same car")
    command.add_argument("source", nargs="+", help="manifest keys that `step crop` printed, one per partition")
    command.add_argument("--inventory", required=True, help="key that `step inventory` printed")
    command = add(steps, "classes", _classes, "apply the taxonomy; drop rare models")
    command.add_argument("source", help="manifest key that `step identify` printed")
    command = add(steps, "split", _split, "put every vehicle into train, val or test")
    command.add_argument("source", help="manifest key that `step classes` printed")
    command = add(steps, "validate", _validate, "hold the split against its expectations, write the report")
    command.add_argument("source", help="manifest key that `step split` printed")
    command = add(steps, "pack", _pack, "write a partition's crops as TFRecord shards")
    command.add_argument("source", help="manifest key that `step split` printed")
    command.add_argument("crop", help="manifest key that `step crop` printed for the partition")
    command = add(steps, "dataset", _dataset, "commit the dataset")
    command.add_argument("source", help="manifest key that `step split` printed")
    command.add_argument("validated", help="manifest key that `step validate` printed")
    command.add_argument("packed", nargs="+", help="manifest keys that `step pack` printed")


def _add_training_steps(steps: Commands) -> None:
    add(steps, "label-set", _label_set, "make the labelled photos a dataset to train the car filter on")
    command = add(steps, "score", _score, "let the live classifier answer listings that are newer than it is")
    command.add_argument("dataset", help=f"that is to be trained on next: {ID}")
    command = add(steps, "train", _train, "train on a dataset or label set")
    command.add_argument("model", choices=MODELS)
    command.add_argument("dataset", help=f"{ID}; of a label set its manifest key")
    command = add(steps, "learning_curve", _learning_curve, "train on shares of the photos: would more of them help?")
    command.add_argument("dataset", help=ID)
    command.add_argument(
        "--shares",
        nargs="+",
        type=float,
        default=list(CURVE_SHARES),
        help="of the training vehicles; default: 0.25 0.5 1",
    )
    command.add_argument("--out", type=Path, metavar="HTML", help="write the page here, too")
    command = add(steps, "evaluate", _evaluate, "judge a trained model on its test split")
    command.add_argument("trained", help="manifest key that `step train` printed")
    command.add_argument("dataset", help=f"that it was trained on: {ID}; of a label set its manifest key")
    command = add(steps, "package", _package, "put together all that an app needs of an evaluated model")
    command.add_argument("model", choices=MODELS)
    command.add_argument("evaluated", help="manifest key that `step evaluate` printed")
    command = add(steps, "gate", _gate, "decide whether a packaged model may go live, and keep the decision")
    command.add_argument("model", choices=MODELS)
    command.add_argument("packaged", help="manifest key that `step package` printed, or id")
    command = add(
        steps, "publish", _publish, "make a packaged model the live one of its channel, whatever the gate says"
    )
    command.add_argument("model", choices=MODELS)
    command.add_argument("packaged", help="manifest key that `step package` printed, or id")


def _data(opened: Session, options: argparse.Namespace) -> str:
    """Manifest key of the dataset or label set that is asked for."""
    from carpipe.steps.data.datasets import find_dataset

    return find_dataset(opened, options.dataset).key


def _packaged(opened: Session, options: argparse.Namespace) -> str:
    return _model(opened, getattr(opened.config, options.model).channel, options.packaged)


def _model(opened: Session, channel: str, model: str) -> str:
    """Manifest key of the model that is asked for."""
    from carpipe.steps.models.weights import key_of

    return key_of(opened, channel, model)


def _inventory(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.inventory import inventory

    print(inventory(session(config)).key)


def _quantize(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.quantize import quantize

    for done in quantize(session(config), options.inventory):
        print(done.key)


def _clean(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.clean import clean

    print(clean(session(accepting(options, config)), options.source, inventory=options.inventory).key)


def _filter(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.filter import filter_cars

    opened = session(config)
    weights = _model(opened, config.filter.channel, options.weights)
    print(filter_cars(opened, options.source, weights=weights).key)


def _crop(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.crop import crop

    print(crop(session(accepting(options, config)), options.source).key)


def _identify(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.identify import identify

    print(identify(session(config), options.source, inventory=options.inventory).key)


def _classes(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.classes import classes

    print(classes(session(config), options.source).key)


def _split(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.split import split

    print(split(session(config), options.source).key)


def _validate(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.validate import validate

    print(validate(session(config), options.source, at=now()).key)


def _pack(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.pack import pack

    print(pack(session(config), options.source, options.crop).key)


def _dataset(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.dataset import dataset

    print(dataset(session(config), options.source, options.validated, options.packed).key)


def _label_set(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.labels.label_set import label_set

    print(label_set(session(config)).key)


def _score(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.models.score import score

    opened = session(config)
    print(score(opened, _data(opened, options), at=now()))


def _train(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.models.train import train

    opened = session(config)
    print(train(opened, _data(opened, options), model=options.model).key)


def _learning_curve(options: argparse.Namespace, config: Config) -> None:
    from carpipe import manifest
    from carpipe.steps.models.learning_curve import PAGE, learning_curve

    check_out(options.out)
    opened = session(config)
    done = learning_curve(opened, _data(opened, options), options.shares, at=now())
    if options.out:
        options.out.write_bytes(manifest.read_file(opened.store, done, PAGE))
        say_written(options.out)
    print(done.key)


def _evaluate(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.models.evaluate import evaluate

    opened = session(config)
    print(evaluate(opened, options.trained, _data(opened, options), at=now()).key)


def _package(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.models.package import package

    print(package(session(config), options.evaluated, model=options.model).key)


def _gate(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.models.gate import gate

    at, opened = now(), session(config)
    packaged = _packaged(opened, options)
    print(gate(opened, packaged, model=options.model, run=f"cli-{at}", at=at).text)


def _publish(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.models.publish import publish

    at, opened = now(), session(config)
    release = publish(
        opened, _packaged(opened, options), model=options.model, reason="by hand", run=f"cli-{at}", at=at, expected=None
    )
    print(f"{release.channel} generation {release.generation}: {release.model}")
