"""Weights that users provide: by path, folder, key in the bucket, or with the sample world."""

import hashlib
import tempfile
from pathlib import Path

import pytest

from carpipe.errors import InputError
from carpipe.sample import DETECTOR
from carpipe.steps import given_weights
from carpipe.steps.given_weights import local_weights


def test_a_path_is_used_where_it_lies(session, tmp_path):
    path = tmp_path / "mine.pt"
    path.write_bytes(b"weights")

    with local_weights(session.store, str(path)) as (found, sha256):
        assert (found, sha256) == (path, hashlib.sha256(b"weights").hexdigest())


def test_a_key_in_the_bucket_is_fetched_under_its_own_name(session):
    session.store.put("weights/mine.pt", b"weights")

    with local_weights(session.store, "s3:weights/mine.pt") as (found, sha256):
        assert found.name == "mine.pt"
        assert found.read_bytes() == b"weights"
        assert sha256 == hashlib.sha256(b"weights").hexdigest()
    assert not found.exists()


@pytest.mark.parametrize("closed", ["weights", "weights/inside", "weights/inside/model.xml"])
def test_what_may_not_be_read_is_said_with_the_way_out(session, as_nobody, closed):
    with tempfile.TemporaryDirectory() as home:
        inside = Path(home) / "weights" / "inside"
        inside.mkdir(parents=True)
        (inside / "model.xml").write_bytes(b"a")
        for place in (Path(home), inside.parent, inside):
            place.chmod(0o755)
        (Path(home) / closed).chmod(0o000)
        said = rf"The weights cannot be read\. The account .* may not read .*`chmod -R a\+rX {home}/weights"
        with as_nobody(), pytest.raises(InputError, match=said):  # noqa: SIM117
            with local_weights(session.store, f"{home}/weights"):
                pass


def test_a_folder_counts_with_all_its_files(session, tmp_path):
    (tmp_path / "model.xml").write_bytes(b"a")
    with local_weights(session.store, str(tmp_path)) as (_, before):
        pass
    (tmp_path / "model.bin").write_bytes(b"b")

    with local_weights(session.store, str(tmp_path)) as (_, after):
        assert before != after


def test_the_sample_worlds_files_are_at_hand(session):
    with local_weights(session.store, "sample:detector.pt") as (found, _):
        assert found.samefile(DETECTOR)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("none.pt", "There are no weights at .*none.pt; put them there"),
        ("s3:none.pt", "There are no weights none.pt in s3://"),
        ("sample:none.pt", "There are no weights at"),
    ],
)
def test_missing_weights_say_where_they_were_looked_for(session, source, message):
    with pytest.raises(InputError, match=message), local_weights(session.store, source):
        pass


def test_a_folder_may_not_hold_links_to_elsewhere(session, tmp_path):
    """What is in it is published with the model."""
    (tmp_path / "secret").write_bytes(b"of somebody")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.xml").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="is a link that leads out"), local_weights(session.store, str(folder)):
        pass


def test_what_is_larger_than_weights_are_is_not_read(session, tmp_path, monkeypatch):
    monkeypatch.setattr(given_weights, "MAX_WEIGHTS_BYTES", 5)
    (tmp_path / "large.pt").write_bytes(b"weights")
    session.store.put("weights/large.pt", b"weights")
    for source in (str(tmp_path / "large.pt"), str(tmp_path), "s3:weights/large.pt"):
        with (
            pytest.raises(InputError, match="has more than the 5 bytes that weights have"),
            local_weights(session.store, source),
        ):
            pass
