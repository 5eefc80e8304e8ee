"""`carpipe airflow-folders`: where this installation's DAGs and plugins are."""

import argparse
from pathlib import Path

from carpipe.cli.common import Commands, add
from carpipe.config import Config
from carpipe.errors import InputError

_PACKAGES = Path(__file__).resolve().parents[2]


def add_command(commands: Commands) -> None:
    """Declare it."""
    add(commands, "airflow-folders", _run, "the variables by which Airflow finds the DAGs and plugins of this package")


def _run(options: argparse.Namespace, config: Config) -> None:
    import sysconfig

    # Of a checkout, of packages that were installed into a folder, and of an environment.
    shares = (_PACKAGES, Path(sysconfig.get_path("data")))
    places = (_PACKAGES, *(folder / "share" / "carpipe" for folder in shares))
    home = next((place for place in places if (place / "dags" / "prepare_dataset.py").is_file()), None)
    if home is None:
        raise InputError(f"There are no DAGs beside {_PACKAGES / 'carpipe'}: install the wheel, or use a checkout.")
    print(f"AIRFLOW__CORE__DAGS_FOLDER={home / 'dags'}\nAIRFLOW__CORE__PLUGINS_FOLDER={home / 'plugins'}")
