"""Objects of other tools, in every folder of a bucket: desktops, consoles and Hadoop leave them, and nobody minds."""

import logging

import boto3
import pytest

from carpipe.cli import main
from carpipe.names import is_foreign
from carpipe.steps.session import open_session
from tests.recorded import SETTINGS, restored

STRANGERS = (
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    "._labels.csv",
    "x_$folder$",
    "_SUCCESS",
    "__MACOSX/000001.json",
    "",
)
ASKED = (
    ["datasets"], ["funnel"], ["labels", "status"], ["labels", "conflicts"], ["listings", "status"],
    ["classes", "moves"], ["photo", "_1_"], ["plan"],
    *(["weights", verb, channel] for verb in ("list", "show") for channel in ("classifier", "car-filter")),
)  # fmt: skip


@pytest.fixture(scope="module")
def session(s3):
    return restored(s3)


def folders_of(session):
    """Every folder that something lies in, but those of photos: what is there is a photo, or one with a bad name."""
    keys = [info.key for info in session.store.list_objects("")]
    above = {key[:at] for key in keys for at in range(len(key)) if key[at] == "/"}
    return sorted(folder for folder in above if folder.partition("/")[0] != "raw")


def sprinkle(session, s3):
    """Put them there; names that end in a slash by the AWS SDK, since ours makes none of them."""
    client = boto3.client("s3", endpoint_url=s3.endpoint)
    home = session.store.url.removeprefix(f"s3://{s3.bucket}/")
    for folder in folders_of(session):
        for name in STRANGERS:
            client.put_object(
                Bucket=s3.bucket, Key=f"{home}/{folder}/{name}", Body=b"" if not name else b"\x00\x01Bud1"
            )


def said(session, capsys, monkeypatch):
    monkeypatch.setenv("CARPIPE_STORE", session.store.url)
    monkeypatch.setenv("CARPIPE_CONFIG", str(SETTINGS))
    answers = []
    for arguments in ASKED:
        code = main(["--quiet", *arguments])
        out, err = capsys.readouterr()
        assert code == 0, err
        answers.append((arguments, out))
    return answers


def test_every_command_answers_as_before(session, s3, capsys, monkeypatch, caplog):
    before = said(session, capsys, monkeypatch)
    sprinkle(session, s3)
    for was, now in zip(before, said(session, capsys, monkeypatch), strict=True):
        assert now == was

    other = open_session(session.config)
    with caplog.at_level(logging.INFO, "carpipe"):
        for _ in range(2):
            list(other.store.list_usable("labels"))
    assert caplog.text.count("labels/car-filter/.DS_Store is of another tool and is passed over") == 1


@pytest.mark.parametrize(
    "key", ["labels/x/.DS_Store", ".git/config", "a/Thumbs.db", "a/__MACOSX/b.csv", "a/", "a/b_$folder$"]
)
def test_what_tools_leave_is_known_by_name(key):
    assert is_foreign(key)


@pytest.mark.parametrize(
    "key", ["labels/x/a.csv", "raw/_complete/2026-01-01", "stages/clean/p/0/photos-1.parquet", "a/b.json"]
)
def test_what_is_ours_is_not(key):
    assert not is_foreign(key)
