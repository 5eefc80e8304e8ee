"""JSON of the bucket, whoever has written it: read within limits, or refused in a sentence that names the object."""

import json

import pytest

from carpipe import forms, manifest
from carpipe.errors import InputError
from carpipe.manifest import Work
from carpipe.steps.data.inventory import latest_inventory
from carpipe.steps.labels.candidates import list_candidates
from carpipe.steps.models.gate import decisions
from carpipe.weights import channel
from tests.recorded import objects

DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
HOSTILE = {
    "nested too deeply for Python": (DEEP, "nested more than 50 deep"),
    "a list too deep for us": (b"[" * 60 + b"]" * 60, "nested more than 50 deep"),
    "huge": (b'"' + b"x" * forms.MAX_BYTES + b'"', "bytes, expected at most 16,777,216"),
    "a number without end": (b'{"generation": 1' + b"0" * 5000 + b"}", "a number of 5,001 digits"),
    "a large number": (b"[1" + b"0" * 300 + b"]", "a number of 301 digits"),
    "infinity": (b'{"a": [Infinity]}', "the number inf"),
    "infinity as a number": (b'{"a": {"b": -1e999}}', "the number -inf"),
    "no number": (b'{"seconds": NaN}', "the number nan"),
    "a field twice": (b'{"model": "a", "model": "b"}', "the field 'model' twice"),
    "a field twice below": (b'[{"key": "a", "key": "a"}]', "the field 'key' twice"),
    "half a character": (b'{"a": "\\ud800"}', "a text that is no Unicode"),
    "half a character in a name": (b'{"a": {"\\udfff": 1}}', "a text that is no Unicode"),
    "half a character in the outermost name": (b'{"\\udfff": 1}', "a text that is no Unicode"),
    "no UTF-8": (b'{"a": "\xff"}', "can't decode byte"),
    "cut off": (b'{"a": ', "Expecting value"),
}


@pytest.mark.parametrize(("data", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_json_is_refused_with_a_sentence(data, reason):
    with pytest.raises(InputError, match=f"^the/key is not a thing that carpipe understands: .*{reason}") as raised:
        forms.parse(data, key="the/key", what="a thing")
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(("data", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_wherever_it_lies(session, data, reason):
    store, reads = session.store, {}
    reads["channels/classifier/production.json"] = lambda: channel.read_channel(store, "classifier")
    reads["channels/filter/history/000001.json"] = lambda: channel.history(store, "filter")
    reads["channels/classifier/decisions/x.json"] = lambda: decisions(session, "classifier")
    reads["stages/inventory/log/000001.json"] = lambda: latest_inventory(session)
    reads["stages/clean/p/0/manifest.json"] = lambda: manifest.read(store, "stages/clean/p/0/manifest.json")
    for key, read in reads.items():
        store.put(key, data)
        with pytest.raises(InputError, match=key):
            read()
        store.delete([key])


def test_a_hostile_candidate_is_passed_over(session, caplog):
    for number, (data, _) in enumerate(HOSTILE.values()):
        if len(data) < forms.MAX_BYTES:
            session.store.put(f"labels/classifier/candidates/{number}.json", data)

    assert list(list_candidates(session)) == []
    assert caplog.text.count("is no candidate") == len(HOSTILE) - 1


def test_a_huge_object_is_refused_before_it_is_read(session, monkeypatch):
    session.store.put("channels/classifier/production.json", b" " * (forms.MAX_BYTES + 1))

    with pytest.raises(InputError, match="more than the 16,777,216 bytes that are read of such an object"):
        channel.read_channel(session.store, "classifier")
    session.store.put("raw/a/huge.json", b" " * (forms.MAX_BYTES + 1))
    assert len(session.store.get("raw/a/huge.json")) > forms.MAX_BYTES, "of photos the limit is another"
    with pytest.raises(InputError, match="more than the 10 bytes"):
        session.store.get("raw/a/huge.json", limit=10)


def test_figures_of_a_ruined_training_can_be_read():
    data = b'{"extra": {"metrics": {"nll": NaN}}, "seconds": 1}'
    assert forms.parse(data, key="k", what="w", figures=("extra",))["seconds"] == 1
    with pytest.raises(InputError, match="the number nan"):
        forms.parse(data, key="k", what="w", figures=("seconds",))


def test_a_form_with_very_many_digits_is_refused():
    with pytest.raises(InputError, match="form: expected a whole number"):
        forms.check_text("9" * 5000, key="k", what="a label")


def test_everything_that_carpipe_0_1_0_wrote_is_within_limits():
    read = 0
    for key, data in objects():
        if key.endswith(".json"):
            forms.parse(data, key=key, what="JSON", figures=(forms.ALL,))
            read += 1
        if key.endswith("/manifest.json"):
            manifest.from_json(data, key=key)
    assert read > 50


PACK = "stages/pack/p00000-0/0123456789abcdef0123/train.tfrecord"
OTHERS = {
    "another file": lambda body: body["files"]["a.bin"].update(key="channels/classifier/production.json"),
    "another result": lambda body: body["files"]["a.bin"].update(key="stages/clean/p/1/a.bin"),
    "a way out": lambda body: body["files"]["a.bin"].update(key="stages/clean/p/0/../../../../raw/x"),
    "a photo": lambda body: body["files"]["a.bin"].update(key="raw/x.jpg"),
    "a neighbour": lambda body: body["files"]["a.bin"].update(key="stages/clean/p/0x/a.bin"),
    "an empty part": lambda body: body["files"]["a.bin"].update(key="stages/clean/p/0//a.bin"),
    "a name that leads out": lambda body: body["files"].update({"../a": body["files"]["a.bin"]}),
    "a name of Windows": lambda body: body["files"].update({"..\\a": body["files"]["a.bin"]}),
    "another stage": lambda body: body.update(stage="crop"),
    "another partition": lambda body: body.update(partition="q"),
    "a photo as input": lambda body: body.update(inputs=["raw/x.jpg"]),
    "a channel as input": lambda body: body.update(inputs=["channels/classifier/production.json"]),
    "an input with dots": lambda body: body.update(inputs=["stages/../b/c/manifest.json"]),
    "a shard of elsewhere": lambda body: body["extra"].update(shards=[{"key": "raw/x", "sha256": ""}]),
    "a shard with dots": lambda body: body["extra"].update(shards=[{"key": "stages/pack/../x", "sha256": ""}]),
    "shards that are none": lambda body: body["extra"].update(shards=7),
    "a shard without a key": lambda body: body["extra"].update(shards=[{}]),
}


@pytest.fixture
def done(session):
    work = Work("clean", 1, "p", {}, ("stages/inventory/p/0/manifest.json", "labels/car-filter/a.csv"))
    made = manifest.commit(session.store, work, {"a.bin": b"x"}, counts={}, extra={"shards": [{"key": PACK}]})
    key = "stages/clean/p/0/manifest.json"
    moved = session.store.get(made.key).replace(made.key.rpartition("/")[0].encode(), key.rpartition("/")[0].encode())
    session.store.put(key, moved)
    assert manifest.read(session.store, key).files["a.bin"]["key"].startswith("stages/clean/p/0/")
    return key


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_a_manifest_names_only_what_is_its_own(session, done, change):
    body = json.loads(session.store.get(done))
    change(body)
    session.store.put(done, json.dumps(body).encode())

    with pytest.raises(InputError, match=f"{done} is no manifest to be trusted: .* Somebody has tampered"):
        manifest.read(session.store, done)
