"""Settings: what is wrong is said, with the names that would be right."""

from pathlib import Path
from typing import ClassVar

import pytest

from carpipe.config import Config, SplitConfig, describe_config, load_config
from carpipe.errors import ConfigError
from tools.settings_table import with_table


def write(tmp_path, text):
    path = tmp_path / "carpipe.toml"
    path.write_text(text)
    return path


def test_a_file_overrides_what_it_names_and_nothing_else(tmp_path):
    config = load_config(write(tmp_path, "[classes]\nmin_photos = 20\n"))

    assert config.classes.min_photos == 20
    assert config.crop == Config().crop


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[classes]\nmin_photo = 3",
            "classes.min_photo is not a known setting; known are taxonomy, min_photos, max_photos",
        ),
        ("[classes]\nmin_photo = 3", r"Did you mean classes\.min_photos\?$"),
        ("[crop]\nmin_photos = 3", r"Did you mean classes\.min_photos\?$"),
        ("backbone = 'x'", r"Did you mean car_filter\.backbone or classifier\.backbone\?$"),
        ("[clases]\nmin_photos = 3", "clases is not a known setting; known are store, inventory, clean"),
        ("[classes]\nmin_photos = '3'", "classes.min_photos = '3' is not possible: Input should be a valid integer"),
        ("[classes]\nmin_photos = 0", "greater than or equal to 1"),
        ("[split]\ntrain = 0.8", "train \\+ val \\+ test must be 1"),
        ("clean = 3", "clean = 3 is not possible"),
        ("[classifier]\nhead_epochs = 0\nfinetune_epochs = 0", "must be at least 1"),
        ("[classes", "cannot be read as TOML"),
        ("[classes]\ntaxonomy = 'a\x00b'", "cannot be read as TOML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path, text))


@pytest.mark.parametrize("content", [b"\xff\xfe[\x00", b"[classes]\nmin_photos = 3 # \xe9", b"\x00"])
def test_a_file_that_is_no_text_is_said(tmp_path, content):
    path = tmp_path / "carpipe.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match="cannot be read as TOML"):
        load_config(path)


def test_a_file_that_may_not_be_read_is_said_with_the_way_out(tmp_path, as_nobody):
    path = tmp_path / "carpipe.toml"
    path.write_text("[crop]\n")
    path.chmod(0o000)
    with as_nobody(), pytest.raises(ConfigError, match=r"may not read .*carpipe\.toml.*`chmod -R a\+rX"):
        load_config(path)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(ConfigError, match="no configuration file"):
        load_config(tmp_path / "nothing.toml")


def test_overrides_win_over_the_file_and_none_leaves_it(tmp_path):
    path = write(tmp_path, "[classes]\nmin_photos = 20\nmax_photos = 30\n")

    config = load_config(path, {"classes.min_photos": 5, "classes.max_photos": None})

    assert (config.classes.min_photos, config.classes.max_photos) == (5, 30)


def test_files_are_looked_for_beside_the_settings(tmp_path):
    (tmp_path / "mine.pt").touch()

    config = load_config(write(tmp_path, "[crop]\nweights = 'mine.pt'"))

    assert config.crop.weights == str(tmp_path / "mine.pt")


def test_a_backbone_is_a_file_only_where_its_name_says_so(tmp_path):
    (tmp_path / "mine.keras").touch()
    (tmp_path / "MobileNetV2").mkdir()
    path = write(tmp_path, "[classifier]\nbackbone = 'mine.keras'\n[car_filter]\nbackbone = 'MobileNetV2'")

    config = load_config(path)

    assert (config.classifier.backbone, config.car_filter.backbone) == (str(tmp_path / "mine.keras"), "MobileNetV2")
    assert (config.classifier.own_backbone, config.car_filter.own_backbone) == (True, False)


def test_every_setting_has_a_meaning():
    assert [key for key, _, meaning in describe_config(Config()) if not meaning] == []


def test_the_page_shows_the_settings_as_they_are():
    page = (Path(__file__).parents[1] / "docs" / "settings.md").read_text(encoding="utf-8")

    assert with_table(page) == page, "run `make settings`"


def test_a_setting_that_came_later_changes_no_fingerprint_where_it_means_as_before():
    class Later(SplitConfig):
        ADDED: ClassVar[dict] = {"holdout": 0.0}
        holdout: float = 0.0

    assert Later().decisive() == SplitConfig().decisive()
    assert Later(holdout=0.1).decisive() == {**SplitConfig().decisive(), "holdout": 0.1}
    assert Later(holdout=0.1).decisive("holdout", "train").keys() == {"val", "test"}


@pytest.mark.parametrize(
    "settings",
    [
        {"store.url": "s3://user:hunter2@bucket/x"},
        {"store.url": "s3://user:hun/ter2@bucket"},
        {"store.url": "s3://hunter2@bucket"},
        {"store.url": "s3://user:hunter2"},
        {"store.url": "https://user:hunter2@host/bucket"},
        {"store.url": ["s3://user:hunter2@bucket"]},
        {"store": "s3://user:hunter2@bucket"},
        {"store": "s3://user:hunter2@bucket", "store.url": "s3://bucket"},
        {"metrics.statsd": "user:hunter2@host:8125"},
    ],
)
def test_a_password_in_a_setting_is_refused_and_not_repeated(settings):
    with pytest.raises(ConfigError, match=r"is not possible|must be a table") as caught:
        load_config(overrides=settings)
    assert "hunter2" not in str(caught.value)
    assert "ter2" not in str(caught.value)


def test_an_at_in_the_prefix_is_no_password():
    assert load_config(overrides={"store.url": "s3://bucket/a@b:c"}).store.url == "s3://bucket/a@b:c"
