"""JSON of the bucket, whoever has written it: read within limits, or refused in a sentence that names the object."""

import json

import pytest

from carpipe import forms, manifest
from carpipe.errors import InputError
from carpipe.manifest import Work
from carpipe.steps.data.inventory import latest_inventory
from carpipe.steps.labels.candidates import list_candidates
from carpipe.steps.models.decisions import decisions
from carpipe.weights import channel
from tests.recorded import objects

DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
HOSTILE = {
    "nested too deeply for Python": (DEEP, "nested more than 50 deep"),
    "a list too deep for us": (b"[" * 60 + b"]" * 60, "nested more than 50 deep"),
    "huge": (b'"' + b"x" * forms.MAX_JSON_BYTES + b'"', "bytes, expected at most 16,777,216"),
    "very many lists": (b"[" + b"[]," * 4_000_000 + b"[]]", "8,000,002 commas, colons and brackets, expected at most"),
    "very many fields": (b"{" + b'"":0,' * 2_000_000 + b'"":0}', "4,000,002 commas, colons and brackets"),
    "very many texts in UTF-16": (("[" + '"",' * 1_500_000 + '""]').encode("utf-16"), "1,500,001 commas, colons"),
    "a number without end": (b'{"generation": 1' + b"0" * 5000 + b"}", "a number of 5,001 digits"),
    "a large number": (b"[1" + b"0" * 300 + b"]", "a number of 301 digits"),
    "infinity": (b'{"a": [Infinity]}', "the number inf"),
    "infinity as a number": (b'{"a": {"b": -1e999}}', "the number -inf"),
    "no number": (b'{"seconds": NaN}', "the number nan"),
    "a field twice": (b'{"model": "a", "model": "b"}', "the field 'model' twice"),
    "a field twice below": (b'[{"key": "a", "key": "a"}]', "the field 'key' twice"),
    "a long name twice": (b'{"%b": 1, "%b": 1}' % ((b"x" * 10**6,) * 2), "the field 'x{99}…' twice"),
    "an unseen name twice": ('{"\u3164": 1, "\u3164": 1}'.encode(), r"the field '\\u3164' twice"),
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
        if len(data) < forms.MAX_JSON_BYTES:
            session.store.put(f"labels/classifier/candidates/{number}.json", data)

    assert list(list_candidates(session)) == []
    assert caplog.text.count("is no candidate") == len(HOSTILE) - 1


def test_a_huge_object_is_refused_before_it_is_read(session, monkeypatch):
    session.store.put("channels/classifier/production.json", b" " * (forms.MAX_JSON_BYTES + 1))

    with pytest.raises(InputError, match="more than the 16,777,216 bytes that are read of such an object"):
        channel.read_channel(session.store, "classifier")
    session.store.put("raw/a/huge.json", b" " * (forms.MAX_JSON_BYTES + 1))
    assert len(session.store.get("raw/a/huge.json")) > forms.MAX_JSON_BYTES, "of photos the limit is another"
    with pytest.raises(InputError, match="more than the 10 bytes"):
        session.store.get("raw/a/huge.json", max_bytes=10)


@pytest.mark.parametrize(
    "body",
    [{"x" * 10**6: {}}, {"\u3164" * 200: {}}, {"\n" * 200: 7}, {"form": "\u3164" * 10**6}, {"form": [1] * 10**5}],
    ids=["long", "unseen", "lines", "a form of text", "a form of numbers"],
)
def test_what_others_have_named_is_cut_and_shown(body):
    good = {"stage": "s", "version": 1, "partition": "p", "config": {}, "weights": {}, "inputs": [], "settings": "s"}
    data = json.dumps({**good, "counts": {}, "files": body, **body}).encode()

    with pytest.raises(InputError) as raised:
        manifest.from_json(data, key="stages/s/p/0/manifest.json")

    assert len(str(raised.value)) < 400
    assert str(raised.value).isprintable()
    assert "\u3164" not in str(raised.value)


@pytest.mark.parametrize(("depth", "taken"), [(50, True), (51, False)])
def test_how_deep_is_deep(depth, taken):
    data = b'{"a":' * depth + b"1" + b"}" * depth
    if taken:
        assert forms.parse(data, key="k", what="w")
    else:
        with pytest.raises(InputError, match="nested more than 50 deep"):
            forms.parse(data, key="k", what="w")


def test_a_dataset_of_two_hundred_million_photos_is_read():
    """Of 24,000 partitions: far above what there is, and still within `MAX_JSON_BYTES`."""
    name = "p00000-b6d8000b/5c6cdb7575471a277d8f"
    shard = {"split": "train", "photos": 5461, "key": f"stages/pack/{name}/train-d41b30346165.tfrecord",
             "bytes": 100_000_000, "sha256": "d" * 64}  # fmt: skip
    done = manifest.Manifest(
        "datasets/0/manifest.json", "dataset", 1, "all", {}, {}, [], "s", {}, {"in": 1},
        extra={"shards": [shard] * 55_000, "packed": [f"stages/pack/{name}/manifest.json"] * 24_000},
    )  # fmt: skip
    data = manifest.to_json(done)

    assert 0.9 * forms.MAX_JSON_BYTES < len(data) < forms.MAX_JSON_BYTES
    assert manifest.from_json(data, key=done.key).extra == done.extra


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
