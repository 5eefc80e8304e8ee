"""A child process sees every setting as its parent does, and the keys of the bucket, whatever its environment says."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from carpipe import children
from carpipe.config import Config, SplitConfig
from carpipe.s3_access import Access

# Tried in this order, until one is allowed and not the default.
OTHERS = (
    True,
    False,
    "other:1",
    "s3://other/prefix",
    "MobileNet",
    "192.0.2.1",
    "other",
    "/other",
    ("car=truck",),
    ("other",),
)
CHILD = """
import sys
from carpipe import children
config, access = children.listen(sys.stdin.read())
print(config.model_dump_json())
print(access and access.credentials()["secret_access_key"])
"""


def others(value, annotation):
    """Values that a setting might have instead."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return (*getattr(annotation, "__args__", ()), *OTHERS)
    return (value + 1, value - 1, value * 2, value / 2, value + 32, value + 0.01, value - 0.01)


def changed(section):
    """The section with every setting another one."""
    for name, field in type(section).model_fields.items():
        for other in others(getattr(section, name), field.annotation):
            try:
                found = type(section).model_validate({**section.model_dump(), name: other})
            except ValidationError:
                continue
            if getattr(found, name) != field.default:
                section = found
                break
    return section


@pytest.fixture(scope="module")
def config():
    """Nothing in it is as it comes."""
    sections = {name: changed(getattr(Config(), name)) for name in Config.model_fields}
    return Config(**{**sections, "split": SplitConfig(train=0.6, val=0.3, test=0.1)})


def listened(config, access, **environment):
    told = children.tell(config, access)
    done = subprocess.run([sys.executable, "-c", CHILD], input=told, capture_output=True, text=True, env=environment)
    assert not done.returncode, done.stderr
    return done.stdout.splitlines()


def test_every_setting_is_another_one(config):
    same = [
        f"{name}.{key}"
        for name in Config.model_fields
        for key, value in getattr(config, name).model_dump().items()
        if value == getattr(getattr(Config(), name), key)
    ]
    assert same == []


def test_a_child_sees_every_setting(config):
    [seen, access] = listened(config, None, AWS_CA_BUNDLE="/nowhere.pem", CARPIPE_STORE="s3://elsewhere")
    assert Config.model_validate_json(seen) == config
    assert access == "None"


def test_a_child_gets_into_the_bucket_as_its_parent_does(config):
    keys = {"access_key_id": "a", "secret_access_key": "s3cret", "token": None, "expires_at": None}
    assert listened(config, Access(lambda: keys), AWS_SECRET_ACCESS_KEY="other")[1] == "s3cret"
