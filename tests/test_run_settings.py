"""A run's tasks take the settings that it was planned with; what is a machine's own stays."""

import json

import pytest

from carpipe import run_settings
from carpipe.config import Config, load_config
from carpipe.errors import ConfigError

PLANNED = {"filter.threshold": 0.8, "crop.image_size": 320, "classes.min_photos": 7, "store.threads": 3}
HERE = {"filter.threshold": 0.6, "store.threads": 5, "store.ca_bundle": "ours.pem", "cost.cpu_hour": 0.2}


def handed_on(config):
    """As an XCom holds them."""
    return json.loads(json.dumps(run_settings.fixed_of(config)))


def test_a_task_takes_the_settings_of_the_run_and_keeps_its_machine_s():
    found = run_settings.follow(load_config(overrides=HERE), handed_on(load_config(overrides=PLANNED)))
    assert found == load_config(overrides={**HERE, **PLANNED, "store.threads": 5})


def test_where_nothing_has_changed_nothing_changes():
    config = load_config(overrides=PLANNED)
    fixed = handed_on(config)
    assert run_settings.follow(config, fixed) == config
    assert run_settings.changed(config, fixed) == []


def test_what_has_changed_is_named():
    fixed = handed_on(load_config(overrides=PLANNED))
    assert run_settings.changed(load_config(overrides=HERE), fixed) == [
        "filter.threshold 0.8 (here 0.6)",
        "crop.image_size 320 (here 640)",
        "classes.min_photos 7 (here 150)",
    ]


def test_nothing_of_a_machine_is_handed_on():
    assert {*Config.model_fields} - {*run_settings.fixed_of(Config())} == {
        "store", "serving", "signing", "metrics", "cost",
    }  # fmt: skip


def test_settings_of_another_version_are_refused_with_what_to_do():
    fixed = handed_on(Config())
    fixed["filter"]["hue"] = 1
    with pytest.raises(ConfigError, match=r"filter\.hue is not a known setting.* Another version of carpipe"):
        run_settings.follow(Config(), fixed)


def test_a_setting_that_came_since_has_its_default():
    fixed = handed_on(load_config(overrides=PLANNED))
    del fixed["filter"]["runtime"], fixed["gate"]
    found = run_settings.follow(load_config(overrides=HERE), fixed)
    assert (found.filter.threshold, found.filter.runtime, found.gate) == (0.8, Config().filter.runtime, Config().gate)
