"""One run, one configuration: what a run's first task has read, its others take, whatever their files say by then.

A file that is edited at night, or is older on one machine of many, would make a dataset of partitions that were judged
and cut in two ways. What is a machine's own stays its own: how it gets into the bucket, its keys, its prices.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from carpipe.config import Config
from carpipe.config_file import explain
from carpipe.errors import ConfigError

# Sections that decide no result.
_OF_A_MACHINE = frozenset({"store", "serving", "signing", "metrics", "cost"})

Sections = Mapping[str, Mapping[str, Any]]


def fixed_of(config: Config) -> dict[str, dict[str, Any]]:
    """The settings of a run, by section and name; as JSON they hold no secret."""
    return config.model_dump(mode="json", exclude=set(_OF_A_MACHINE))


def follow(config: Config, fixed: Sections) -> Config:
    """This machine's settings with those of the run in their place.

    Args:
        fixed: what `fixed_of` gave where the run was planned.

    Raises:
        ConfigError: another version of carpipe has planned it, with settings that this one does not know.
    """
    own = {name: section for name, section in config.model_dump(mode="json").items() if name not in fixed}
    try:
        return Config.model_validate_json(json.dumps({**own, **fixed}))
    except ValidationError as error:
        said = explain(error, Config, where="the settings that this run was planned with")
        raise ConfigError(f"{said} Another version of carpipe has planned it: start the run anew.") from None


def changed(config: Config, fixed: Sections) -> list[str]:
    """What this machine's settings would be otherwise, as `filter.threshold 0.7 (here 0.8)`."""
    ours = fixed_of(config)
    return [
        f"{section}.{name} {value!r} (here {ours[section][name]!r})"
        for section, values in fixed.items()
        for name, value in values.items()
        if section in ours and name in ours[section] and ours[section][name] != value
    ]
