"""What an uploader, or somebody who may write to the bucket, can do to a run: names, manifests, pages to download."""

import json

import boto3
import pytest

from carpipe import manifest
from carpipe.errors import InputError, StoreError
from carpipe.manifest import Work
from carpipe.steps import results
from carpipe.steps.data.clean import clean
from carpipe.steps.data.inventory import inventory, latest_inventory
from carpipe.steps.data.report import download_refusal, download_report
from carpipe.steps.models.weights import pull_weights
from tests.plugins import bucket

UUIDS = "00000000-0000-0000-0000-000000000001_00000000-0000-0000-0000-000000000002"
# As they end up in the bucket: S3 servers refuse some names and tidy up others.
NAMES = [
    "/etc/passwd.jpg",
    "a_b_2001//b.jpg",
    "a_b_2001/",
    "a_b_2001/ .jpg",
    "a_b_2001/%00.jpg",
    "a_b_2001/%2e%2e.jpg",
    "a_b_2001/..jpg",
    "a_b_2001/back\\slash.jpg",
    "a_b_2001/\x01.jpg",
    "a_b_2001/\ufffe.jpg",
    f"a_b_2001/{'x' * 250}.jpg",
    f"{'d/' * 300}x.jpg",
    f".._x_2001/1_1_{UUIDS}.jpg",
    f"<script>_b_2001/1_2_{UUIDS}.jpg",
    f"'; drop table_2001/1_3_{UUIDS}.jpg",
    f"=cmd|x_2001/1_4_{UUIDS}.jpg",
    f"\u202egpj_a_2001/1_5_{UUIDS}.jpg",
    f"{'m' * 200}_a_2001/1_6_{UUIDS}.jpg",
]


@pytest.fixture
def upload(session, s3):
    """Put an object under `raw/` as another program would, which does not care what carpipe thinks of its name."""
    client = boto3.client("s3", endpoint_url=s3.endpoint, region_name="us-east-1")
    prefix = session.store.url.removeprefix(f"s3://{s3.bucket}/")

    def put(name: str) -> None:
        client.put_object(Bucket=s3.bucket, Key=f"{prefix}/raw/{name}", Body=bucket.jpeg(1))

    return put


def test_every_name_that_a_server_takes_has_a_row_and_stops_nothing(session, upload):
    for name in NAMES:
        upload(name)
    for number in range(4):
        session.store.put(f"raw/{bucket.key(number)}", bucket.jpeg(number))

    stock = inventory(session)
    cleaned = [
        results.read_photos(session.store, clean(session, part["manifest"], inventory=stock.key))
        for part in latest_inventory(session).partitions
    ]

    found = {info.key.removeprefix("raw/") for info in session.store.list_objects("raw")}
    assert sorted(key for photos in cleaned for key in photos["key"]) == sorted(found)
    assert len(found) == len(NAMES) - 1 + 4, "names of control characters look the same"
    out = {key: why for photos in cleaned for key, why in photos[["key", "dropped"]].dropna().itertuples(index=False)}
    assert out[NAMES[3]] == "name_not_understood"
    assert not {bucket.key(number) for number in range(4)} & set(out)


@pytest.mark.parametrize("name", ["a_b_2001/new\nline.jpg", "a_b_2001/tab\there.jpg", "a_b_2001/\x7f.jpg"])
def test_a_name_of_control_characters_has_a_row_and_forges_no_line(session, upload, name, caplog):
    upload(name)
    session.store.put(f"raw/{bucket.key(1)}", bucket.jpeg(1))

    stock = inventory(session)
    (part,) = latest_inventory(session).partitions
    photos = results.read_photos(session.store, clean(session, part["manifest"], inventory=stock.key))

    out = dict(photos[["key", "dropped"]].dropna().itertuples(index=False, name=None))
    assert out == {repr(name)[1:-1]: "name_not_understood"}
    assert not any(character in caplog.text.replace("\n", "") for character in "\t\x7f")
    assert name not in caplog.text


def edited(session, done, change):
    """The manifest as somebody who may write to the bucket leaves it."""
    body = json.loads(session.store.get(done.key))
    change(body)
    session.store.put(done.key, json.dumps(body).encode())


@pytest.mark.parametrize("name", ["data_docs/../../evil", "data_docs/\x00", "data_docs/../../../../../../tmp/evil"])
def test_pages_of_a_dataset_stay_in_the_folder_they_are_fetched_to(session, tmp_path, name):
    dataset, _ = bucket.fill(session)
    edited(session, dataset, lambda body: body["files"].update({name: body["files"]["report.html"]}))

    with pytest.raises(InputError, match="is no place inside"):
        download_report(session, tmp_path / "out", dataset.key)
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a\x00b"])
def test_files_of_a_model_stay_in_the_folder_they_are_fetched_to(session, tmp_path, name):
    _, [model, _] = bucket.fill(session)
    edited(session, model, lambda body: body["files"].update({name: body["files"]["README.md"]}))

    with pytest.raises(InputError, match="is no place inside"):
        pull_weights(session, "classifier", model.key.split("/")[2], folder=tmp_path / "out")
    assert not list(tmp_path.rglob("evil"))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_validation_of_another_name_is_not_there(session, tmp_path):
    bucket.refuse(session, "f" * 20)

    assert download_refusal(session, tmp_path, "f" * 20).exists()
    for name in ("../all/" + "f" * 20, "", "e" * 20, "."):
        with pytest.raises((InputError, StoreError), match=r"no failed validation|is not possible"):
            download_refusal(session, tmp_path, name)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"files": ["photos.parquet"]}, "files"),
        ({"files": {"photos.parquet": "stages/x"}}, r"files\.photos\.parquet"),
        ({"files": {"photos.parquet": {"key": "raw/x", "bytes": 1}}}, r"files\.photos\.parquet\.sha256"),
        ({"counts": 3}, "counts"),
        ({"inputs": "stages/x"}, "inputs"),
        ({"extra": [1]}, "extra"),
        ({"version": "one"}, "version"),
        ({"form": "one"}, "form"),
    ],
)
def test_a_crafted_manifest_is_refused_with_what_is_wrong_in_it(session, change, reason):
    done = manifest.commit(session.store, Work("x", 1, "all", {}, ()), {"photos.parquet": b"rows"}, counts={})
    edited(session, done, lambda body: body.update(change))

    with pytest.raises(InputError, match=rf"is not a manifest that carpipe understands: {reason}"):
        manifest.read(session.store, done.key)
