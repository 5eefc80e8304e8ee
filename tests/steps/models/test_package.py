"""What lies under the key of a model to come: another version of carpipe has made it, or somebody else."""

import hashlib
import json
import logging
import uuid

import pytest

from carpipe import forms, manifest
from carpipe.errors import InputError
from carpipe.photos import kept
from carpipe.steps import results
from carpipe.steps.models import package as module
from carpipe.steps.models.package import package
from carpipe.steps.session import Session
from carpipe.storage import Store
from carpipe.weights import channel, signing
from carpipe.weights.signing_keys import load_key
from tests import recorded
from tests.makers import Maker


@pytest.fixture(scope="module")
def makers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {name: Maker(folder, name) for name in ("ann", "bob", "eve")}


@pytest.fixture(scope="module")
def bucket(s3):
    return recorded.restored(s3)


@pytest.fixture
def old(bucket):
    """A bucket of carpipe 0.1.0 with its models, as they were after each test."""
    before = {info.key: info.etag for info in bucket.store.list_objects("models")}
    data = {key: bucket.store.get(key) for key in before}
    yield bucket
    after = {info.key: info.etag for info in bucket.store.list_objects("models")}
    bucket.store.delete(after.keys() - before.keys())
    for key in before:
        if after.get(key) != before[key]:
            bucket.store.put(key, data[key])


def model_of(session, name="classifier"):
    """One that is not live."""
    live = channel.read_channel(session.store, name).model
    keys = (f"{folder}/manifest.json" for folder in session.store.list_folders(f"models/{name}"))
    return manifest.read(session.store, next((key for key in keys if key != live), live))


def again(session, model, kind="classifier"):
    return package(session, model.inputs[0], model=kind)


def signing_with(session, **settings):
    config = session.config.model_copy(update={"signing": session.config.signing.model_copy(update=settings)})
    return Session(config, session.store)


def plant(session, model, name, data):
    """A file of the model, with what its manifest says of it."""
    key = f"{model.key.rpartition('/')[0]}/{name}"
    session.store.put(key, data)
    entry = {"key": key, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edit(session, model, lambda body: body["files"].update({name: entry}))


def edit(session, model, change):
    body = json.loads(session.store.get(model.key))
    change(body)
    session.store.put(model.key, json.dumps(body).encode())


def add_field(session, model, name, **fields):
    plant(session, model, name, json.dumps({**manifest.read_json(session.store, model, name), **fields}).encode())


def delete(session, model):
    """Of a model, all but what it was made of."""
    session.store.delete(info.key for info in session.store.list_objects(model.key.rpartition("/")[0]))


def test_what_was_packaged_a_moment_ago_is_what_would_be_and_is_signed(old, makers, caplog):
    """Its manifest says when it was committed: at another time than it would be now."""
    model = model_of(old)
    delete(old, model)
    with caplog.at_level(logging.INFO):
        assert again(signing_with(old, key=str(makers["ann"].key)), model).fresh
    assert "signed with key" in caplog.text
    assert "differs" not in caplog.text
    caplog.clear()
    assert not again(old, model).fresh
    assert "differs" not in caplog.text


def test_what_is_no_time_differs_where_the_time_stands(old, caplog):
    model = model_of(old)
    delete(old, model)
    model = again(old, model)
    edit(old, model, lambda body: body["extra"].update(committed="2026-01-01, and <b>more</b>"))
    again(old, model)
    assert "differs in its description" in caplog.text


MORE = {
    "a file": ("later.bin", lambda session, model: plant(session, model, "later.bin", b"x")),
    "a word on the card": ("README.md", lambda session, model: plant(session, model, "README.md", b"# Buy this")),
    "a field": ("preprocessing.json", lambda session, model: add_field(session, model, "preprocessing.json", later=1)),
    "a fact": (
        "its description", lambda session, model: edit(session, model, lambda body: body["extra"].update(later=[1])),
    ),
    "a field of the manifest": (
        "its manifest", lambda session, model: edit(session, model, lambda body: body.update(later=1)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", MORE)
def test_what_has_more_is_taken_over_with_a_warning_where_nobody_signs(old, caplog, kind):
    model, (name, add) = model_of(old), MORE[kind]
    add(old, model)

    assert again(old, model).key == model.key
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert f"differs in {name}: another version" in warning
    assert model.key in warning


@pytest.mark.parametrize("kind", MORE)
def test_what_has_more_is_taken_over_from_trusted_keys_alone_where_somebody_signs(old, makers, kind):
    model, (name, add) = model_of(old), MORE[kind]
    add(old, model)
    ann, bob, eve = makers.values()
    ways = [
        signing_with(old, key=str(ann.key)),
        signing_with(old, trusted=(str(ann.public),)),
        signing_with(old, key=str(bob.key), trusted=(str(ann.public),), require=True),
    ]

    def refused():
        for session in ways:
            with pytest.raises(InputError, match=f"differs in {name}.*`carpipe weights sign`"):
                again(session, model)

    refused()
    assert not [info for info in old.store.list_objects(model.key.rpartition("/")[0]) if info.key.endswith(".sig")]
    for maker in (eve, ann):
        key = load_key(signing_with(old, key=str(maker.key)).config.signing)
        signing.sign(old.store, channel.read_model(old.store, model.key), key)
        if maker is eve:
            refused()
    for session in ways:
        assert again(session, model).key == model.key


def test_what_is_accepted_unsigned_is_taken_over(old, makers):
    model = model_of(old)
    plant(old, model, "later.bin", b"x")
    pin = signing.accepted(channel.read_model(old.store, model.key))
    facts = {"trusted": (str(makers["ann"].public),), "require": True}
    assert again(signing_with(old, accept_unsigned=(pin,), **facts), model).key == model.key
    plant(old, model, "later.bin", b"y")
    with pytest.raises(InputError, match=r"not what signing\.accept_unsigned names"):
        again(signing_with(old, accept_unsigned=(pin,), **facts), model)


def later_version(monkeypatch):
    """A version that writes more than this one, under the same key."""
    about, files = module._about, module._model_files
    monkeypatch.setattr(module, "_about", lambda *facts: {**about(*facts), "later": {"nested": ["thing"]}})

    def more(*facts, **settings):
        made = files(*facts, **settings)
        for name in {"preprocessing.json", "crop.json"} & {*made}:
            made[name] = json.dumps({**json.loads(made[name]), "later": 1}).encode()
        return {**made, "README.md": b"# Another card"}

    monkeypatch.setattr(module, "_model_files", more)


@pytest.mark.parametrize(("name", "kind"), [("classifier", "classifier"), ("car-filter", "car_filter")])
def test_a_later_version_takes_over_what_an_earlier_one_has_made(old, makers, monkeypatch, caplog, name, kind):
    model = model_of(old, name)
    again(signing_with(old, key=str(makers["ann"].key)), model, kind)
    signed = old.store.head(model.key.replace("manifest.json", "model.sig"))
    later_version(monkeypatch)

    assert again(old, model, kind).key == model.key
    assert "README.md, " in caplog.text
    assert "preprocessing.json, its description: another version" in caplog.text
    assert again(signing_with(old, key=str(makers["ann"].key)), model, kind).key == model.key
    assert old.store.head(signed.key).etag == signed.etag


@pytest.mark.parametrize("later", [False, True], ids=["this version", "a later version"])
@pytest.mark.parametrize(
    "change",
    [
        lambda body, crop: body["extra"].pop("metrics"),
        lambda body, crop: body["extra"]["metrics"].pop("test_accuracy"),
        lambda body, crop: body["extra"].update(contract=True),
        lambda body, crop: body["files"].pop("preprocessing.json"),
        lambda body, crop: body["files"]["labels.json"].update(bytes=1),
        lambda body, crop: body.update(settings="0" * 20),
        lambda body, crop: crop.pop("min_box_share"),
        lambda body, crop: crop.pop("detector"),
        lambda body, crop: crop.update(confidence=0.0),
        lambda body, crop: crop.update(batch=10**6),
    ],
)
def test_what_has_always_been_there_is_never_missing_or_other(old, monkeypatch, change, later):
    model = model_of(old)
    crop = manifest.read_json(old.store, model, "crop.json")
    before = dict(crop)
    edit(old, model, lambda body: change(body, crop))
    if crop != before:
        plant(old, model, "crop.json", json.dumps(crop).encode())
    if later:
        later_version(monkeypatch)
    with pytest.raises(InputError, match="is not what is packaged today"):
        again(old, model)


@pytest.mark.parametrize(
    "name", ["detector/more.pt", "Detector/x", "model.07-0.10-0.99.h5", "crop.json", "taxonomy.yaml", "known.json"]
)
def test_nobody_puts_a_file_that_is_read_beside_a_model(old, name):
    model = model_of(old, "car-filter")
    plant(old, model, name, b"{}")
    with pytest.raises(InputError, match="is not what is packaged today"):
        again(old, model, "car_filter")


def test_what_is_too_large_or_not_compared_is_not_fetched(old, monkeypatch):
    model = model_of(old)
    fetched = []
    get = Store.get
    monkeypatch.setattr(Store, "get", lambda self, key, **limits: fetched.append(key) or get(self, key, **limits))
    for name, passes in (("README.md", True), ("metrics.json", False)):
        entry = {"bytes": forms.MAX_JSON_BYTES + 1, "sha256": "0" * 64}
        edit(old, model, lambda body, name=name, entry=entry: body["files"][name].update(entry))
        if passes:
            again(old, model)
        else:
            with pytest.raises(InputError, match=f"{name} would differ"):
                again(old, model)
        assert model.files[name]["key"] not in fetched


def test_nobody_is_told_to_delete_a_live_model(old):
    facts = {"reason": "r", "run": uuid.uuid4().hex, "at": "2026-01-30T00:00:00Z"}
    model = model_of(old)
    edit(old, model, lambda body: body["files"].pop("golden.npz"))
    with pytest.raises(InputError, match="to be made anew, delete everything under models/classifier/"):
        again(old, model)
    live = manifest.read(old.store, channel.read_channel(old.store, "classifier").model)
    edit(old, live, lambda body: body["files"].pop("golden.npz"))
    with pytest.raises(
        InputError, match=r"It is live in channel classifier, so delete nothing of it now.*promote_weights.*Only then"
    ):
        again(old, live)
    other = channel.read_channel(old.store, "classifier")
    production = old.store.get("channels/classifier/production.json")
    try:
        channel.promote(old.store, "classifier", model=model.key, **facts)
        before = manifest.read(old.store, other.model)
        with pytest.raises(InputError, match=r"It was live in channel classifier\. If nobody is to go back"):
            again(old, before)
        old.store.put("channels/classifier/production.json", b"[]")
        with pytest.raises(InputError, match=r"Whether it is live cannot be told.*Only if it is not"):
            again(old, live)
    finally:
        old.store.put("channels/classifier/production.json", production)
        old.store.delete(["channels/classifier/history/000002.json"])


def test_figures_of_a_ruined_training_are_themselves(old, caplog):
    model = model_of(old)
    key = model.inputs[0]
    before = old.store.get(key)
    try:
        judged = json.loads(before)
        judged["extra"]["metrics"]["test_nll"] = float("nan")
        old.store.put(key, json.dumps(judged).encode())
        edit(old, model, lambda body: body["extra"]["metrics"].update(test_nll=float("nan")))
        assert again(old, model).key == model.key
        assert "differs in README.md: another" in caplog.text, "there it is a word"
    finally:
        old.store.put(key, before)


def test_a_model_that_has_lost_files_gets_them_back(old):
    model = model_of(old, "car-filter")
    before = {name: old.store.get(entry["key"]) for name, entry in model.files.items()}
    old.store.delete([model.files["model.xml"]["key"], model.files["labels.json"]["key"]])

    assert again(old, model, "car_filter").key == model.key

    assert {name: old.store.get(entry["key"]) for name, entry in model.files.items()} == before
    assert old.store.get(model.key) == manifest.to_json(model)


def test_a_model_says_of_which_car_models_its_classes_are_made(old):
    model = model_of(old)
    data = manifest.read(old.store, model.extra["dataset"])
    photos = kept(results.read_photos(old.store, data))

    found = module._members(old, data)

    assert sorted(found) == sorted(model.extra["classes"])
    assert sum(sum(models.values()) for models in found.values()) == len(photos)
    assert {name for models in found.values() for name in models} == set(photos["model"])
