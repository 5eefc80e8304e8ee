"""Apps that pull weights get the model that was published, or an error that says what is wrong with it."""

import io
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from carpipe.config import StoreConfig
from carpipe.errors import AccessError, InputError, UnavailableError
from carpipe.storage import Store
from carpipe.weights.cache import KEPT
from carpipe.weights.client import open_channel, pull
from tests.tiny import CLASSES, SIDE, Tiny, crop_files, go_live, publish


@pytest.fixture(scope="module")
def files():
    return Tiny().files()


@pytest.fixture
def live(session, files):
    return go_live(session, publish(session, files))


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def pictures(count=5):
    return np.random.default_rng(7).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


def cached(cache, name):
    (path,) = cache.rglob(name)
    return path


KNOWING = {"stand_out": 1.5, "likeness": 4.0, "offset": -5.0, "threshold": 0.0, "alike": 0.5, "later": [1]}


def known_json(**changes):
    return json.dumps(KNOWING | changes).encode()


def crop_json(**changes):
    return json.dumps(json.loads(crop_files()["crop.json"]) | changes).encode()


def unreachable(session):
    return Store(StoreConfig(url=session.store.url, endpoint="http://127.0.0.1:9", max_retries=0, timeout_s=2))


def test_it_answers_as_the_published_model_calibrated(session, live, cache):
    model = pull(session.store, cache=cache)

    expected = softmax(Tiny().logits(pictures()) / Tiny().temperature, axis=1)
    np.testing.assert_allclose(model.predict(pictures()), expected, atol=1e-5)
    assert (model.channel, model.generation) == ("classifier", 1)
    assert f"models/classifier/{model.id}/manifest.json" == live.model
    assert (model.classes, model.side, model.crop) == (CLASSES, SIDE, None)


def test_answers_name_the_five_best_classes(session, live, cache):
    picture = Image.new("RGB", (SIDE, SIDE), (200, 30, 10))
    picture.paste((10, 90, 220), (0, 0, SIDE // 2, SIDE))
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=100, subsampling=0)

    [answer] = pull(session.store, cache=cache).answer([jpeg.getvalue()])

    logits = Tiny().logits(np.asarray(picture)[None])[0]
    order = np.argsort(-logits)
    assert [name for name, _ in answer.top] == [CLASSES[number] for number in order[:5]]
    assert answer.name == CLASSES[order[0]]
    assert answer.score == pytest.approx(softmax(logits / 2).max(), abs=0.02)
    assert answer.sure == (softmax(logits / 2).max() >= 0.6)


def test_an_app_opens_a_channel_by_its_address(session, s3, live, cache):
    assert open_channel(session.store.url, endpoint=s3.endpoint, cache=cache).generation == 1


def test_many_pictures_and_threads_get_what_each_would_alone(session, live, cache):
    model = pull(session.store, cache=cache)
    batch = pictures(40)
    alone = np.concatenate([model.predict(batch[number : number + 1]) for number in range(40)])

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(model.predict, [batch] * 24))

    for answer in answers:
        np.testing.assert_allclose(answer, alone, atol=1e-6)


def test_pictures_of_another_size_are_refused(session, live, cache):
    model = pull(session.store, cache=cache)

    assert model.predict(pictures(0)).shape == (0, len(CLASSES))
    with pytest.raises(InputError, match=r"takes uint8 \(n, 32, 32, 3\), not .*float64"):
        model.predict(pictures() / 255)
    with pytest.raises(InputError, match="takes uint8"):
        model.predict(pictures()[:, :16])
    with pytest.raises(InputError, match="cannot be decoded as JPEG"):
        model.answer([b"<svg/>"])


def test_the_second_pull_downloads_no_file_again(session, live, cache, monkeypatch):
    pull(session.store, cache=cache)
    read = []
    get = session.store.get
    monkeypatch.setattr(session.store, "get", lambda key: read.append(key) or get(key))

    pull(session.store, cache=cache)

    assert read == ["channels/classifier/production.json", live.model]


def test_a_cached_file_that_changed_is_downloaded_again(session, live, cache):
    pull(session.store, cache=cache)
    whole = cached(cache, "model.bin").read_bytes()
    cached(cache, "model.bin").write_bytes(b"\0" * len(whole))

    pull(session.store, cache=cache)

    assert cached(cache, "model.bin").read_bytes() == whole


def test_processes_that_share_a_cache_do_not_disturb_each_other(session, live, cache):
    with ThreadPoolExecutor(6) as pool:
        models = list(pool.map(lambda _: pull(session.store, cache=cache), range(6)))

    assert len({model.id for model in models}) == 1
    assert not list(cache.rglob(".partial-*"))


def test_the_detector_comes_when_asked_for(session, files, cache):
    go_live(session, publish(session, files | crop_files(image_size=320)))

    assert pull(session.store, cache=cache).crop.config.image_size == 320
    assert not list(cache.rglob("detector.pt"))
    model = pull(session.store, cache=cache, detector=True)
    assert (model.folder / model.crop.detector).stat().st_size > 1_000_000


def test_old_models_leave_the_cache(session, files, cache):
    for tag in "abcde":
        go_live(session, publish(session, files, tag=tag))
        model = pull(session.store, cache=cache)

    assert len(list(cache.rglob("model.bin"))) == KEPT
    assert model.folder.exists()


def test_nothing_published_is_said(session, cache):
    with pytest.raises(InputError, match="Nothing was ever published to channel classifier"):
        pull(session.store, cache=cache)


def test_a_model_that_is_gone_is_said(session, live, cache):
    session.store.delete([live.model])

    with pytest.raises(InputError, match=r"which is gone from .*; promote another"):
        pull(session.store, cache=cache)


def test_a_file_that_is_gone_is_said(session, live, cache):
    session.store.delete([live.model.replace("manifest.json", "model.bin")])

    with pytest.raises(InputError, match="has lost a file"):
        pull(session.store, cache=cache)


@pytest.mark.parametrize("name", ["model.bin", "model.xml", "labels.json", "golden.npz"])
def test_a_file_that_was_tampered_with_is_refused(session, live, cache, name):
    key = live.model.replace("manifest.json", name)
    session.store.put(key, session.store.get(key)[:-1] + b"!")

    with pytest.raises(InputError, match=f"{name} is not what was committed"):
        pull(session.store, cache=cache)
    assert not list(cache.rglob(name))


def test_golden_pictures_that_come_out_otherwise_refuse_the_model(session, files, cache):
    other = Tiny(seed=1).files()
    go_live(session, publish(session, {**files, "model.bin": other["model.bin"], "model.xml": other["model.xml"]}))

    with pytest.raises(InputError, match=r"off by 0\.\d+, allowed are 0.001"):
        pull(session.store, cache=cache)


def test_labels_that_do_not_fit_the_network_refuse_the_model(session, files, cache):
    go_live(session, publish(session, {**files, "labels.json": b'["audi_a4", "audi_tt"]'}))

    with pytest.raises(InputError, match="2 labels; it was put together wrong"):
        pull(session.store, cache=cache)


def test_a_later_contract_is_refused(session, files, cache):
    go_live(session, publish(session, files, contract=2))

    with pytest.raises(InputError, match="version 2 of the contract, this carpipe knows 1"):
        pull(session.store, cache=cache)


def test_a_model_of_before_the_contract_is_refused(session, files, cache):
    go_live(session, publish(session, {"labels.json": files["labels.json"]}))

    with pytest.raises(InputError, match=r"lacks model.xml, model.bin, .*publish it again"):
        pull(session.store, cache=cache)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels.json", b"{}", "expected a list of class names"),
        ("preprocessing.json", b"{}", "it has no 'side'"),
        ("calibration.json", b'{"temperature": 0, "threshold": 0.5}', "at least 0.001, got 0"),
        ("calibration.json", b'{"temperature": NaN, "threshold": 0.5}', "at least 0.001, got nan"),
        ("calibration.json", b'{"temperature": 1e400, "threshold": 0.5}', "a number with an end, got inf"),
        ("calibration.json", b'{"temperature": true, "threshold": 0.5}', "temperature: expected a number, got True"),
        ("calibration.json", b'{"temperature": "2", "threshold": 0.5}', "temperature: expected a number, got '2'"),
        ("calibration.json", b'{"temperature": 1, "threshold": 2}', "threshold: expected 0 to 1, got 2"),
        ("calibration.json", b'{"temperature": 1, "threshold": -0.1}', "threshold: expected 0 to 1, got -0.1"),
        ("calibration.json", b'{"temperature": 1, "threshold": NaN}', "threshold: expected 0 to 1, got nan"),
        ("calibration.json", b'{"temperature": 1, "threshold": true}', "threshold: expected a number, got True"),
        ("calibration.json", b"[1, 2]", "calibration.json"),
        ("preprocessing.json", b'{"side": 100000}', "side: expected 1 to 2048, got 100000"),
        ("preprocessing.json", b'{"side": 64}', r"pictures of \(32, 32, 3\), expected \(64, 64, 3\)"),
        ("preprocessing.json", b'{"side": 0}', "side: expected 1 to 2048, got 0"),
        ("preprocessing.json", b'{"side": 32.5}', "side: expected a whole number, got 32.5"),
        ("preprocessing.json", b'{"side": true}', "side: expected a number, got True"),
        ("labels.json", json.dumps(["a"] * 7).encode(), "class names that differ, it has 'a' 7 times"),
        ("crop.json", crop_json(image_size=100_000), "image_size|less than or equal to 2048"),
        ("crop.json", crop_json(max_damage=2), "max_damage: expected 0 to 1, got 2"),
        ("crop.json", crop_json(max_pixels=1.5), "max_pixels: expected a whole number, got 1.5"),
        ("model.xml", b"<net/>", "OpenVINO cannot load"),
        ("golden.npz", b"no archive", "holds no pictures"),
        ("crop.json", b'{"image_size": "big"}', "crop.json"),
        ("crop.json", b'{"max_pixels": 1, "max_damage": 0, "detector": "detector/../../x"}', "below detector/"),
    ],
)
def test_a_file_that_does_not_hold_what_it_should_is_named(session, files, cache, name, content, message):
    go_live(session, publish(session, {**files, name: content}))

    with pytest.raises(InputError, match=message):
        pull(session.store, cache=cache)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[]", r"known\.json"),
        (b"{}", "it has no 'stand_out'"),
        (known_json(stand_out=-1), "stand_out: expected 0 to 1e\\+06, got -1"),
        (known_json(likeness="1"), "likeness: expected a number, got '1'"),
        (known_json(offset=True), "offset: expected a number, got True"),
        (b'{"stand_out": 1, "likeness": 1, "offset": NaN, "threshold": 0, "alike": 0}', "offset: expected .*, got nan"),
        (known_json(threshold=1e300), "threshold: expected .*, got 1e\\+300"),
        (known_json(alike=1.5), "alike: expected 0 to 1, got 1.5"),
    ],
)
def test_a_known_json_that_cannot_be_meant_is_refused(session, cache, content, message):
    go_live(session, publish(session, {**Tiny(known=KNOWING).files(), "known.json": content}))

    with pytest.raises(InputError, match=message):
        pull(session.store, cache=cache)


def familiarity(model, seen):
    """As `KNOWING` says, of 7 classes: by the odds of the best."""
    p = np.sort(model.probabilities(seen), axis=1)
    return 1.5 * np.log(p[:, -1] / p[:, :-1].sum(axis=1)) + 4 * model.likeness(seen) - 5


def test_a_model_says_whether_it_knows_what_it_sees(session, cache):
    tiny = Tiny(known=KNOWING)
    go_live(session, publish(session, tiny.files()))
    model = pull(session.store, cache=cache)
    seen = pictures(70)

    p, found = model.look(seen)
    answers = [model.describe(row, familiarity=float(one)) for row, one in zip(p, found, strict=True)]

    expected = familiarity(tiny, seen)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_array_equal(p, model.predict(seen))
    assert [answer.known for answer in answers] == (expected >= 0).tolist()
    assert {answer.known for answer in answers} == {True, False}
    assert [answer.familiarity for answer in answers] == pytest.approx(expected, abs=1e-3)
    assert model.look(seen[:0])[1].shape == (0,)


def test_an_answer_to_a_jpeg_says_it_too(session, cache):
    go_live(session, publish(session, Tiny(known=KNOWING).files()))
    jpeg = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (200, 30, 10)).save(jpeg, "JPEG")

    [answer] = pull(session.store, cache=cache).answer([jpeg.getvalue()])

    assert answer.known is not None
    assert answer.known == (answer.familiarity >= 0)


def test_a_model_without_it_says_nothing(session, live, cache):
    model = pull(session.store, cache=cache)

    p, found = model.look(pictures())
    answer = model.describe(p[0], familiarity=9.0)

    assert (found, model.known) == (None, None)
    assert (answer.known, answer.familiarity) == (None, None)


def test_a_likeness_that_comes_out_otherwise_refuses_the_model(session, cache):
    files = Tiny(known=KNOWING).files()
    golden = dict(np.load(io.BytesIO(files["golden.npz"])))
    right = golden["likeness"]
    for changed in (right + 0.01, right[:-1], None, right[:, None], np.full_like(right, np.nan)):
        sink = io.BytesIO()
        more = {} if changed is None else {"likeness": changed}
        np.savez_compressed(sink, pictures=golden["pictures"], probabilities=golden["probabilities"], **more)
        go_live(session, publish(session, {**files, "golden.npz": sink.getvalue()}, tag=str(changed)))

        with pytest.raises(InputError, match=r"off by (0\.01|nan)|do not say a likeness for each|holds a likeness of"):
            pull(session.store, cache=cache)


def test_a_network_that_says_no_likeness_does_not_go_with_a_known_json(session, files, cache):
    go_live(session, publish(session, {**files, "known.json": known_json()}))

    with pytest.raises(InputError, match="do not say a likeness for each"):
        pull(session.store, cache=cache)


@pytest.mark.parametrize("threshold", [0, 1, float(np.nextafter(np.float32(1), np.float32(2)))])
def test_a_threshold_may_be_any_score(session, files, cache, threshold):
    calibration = {"temperature": 1, "threshold": threshold}
    go_live(session, publish(session, {**files, "calibration.json": json.dumps(calibration).encode()}))

    assert pull(session.store, cache=cache).threshold == threshold


def test_names_in_a_manifest_cannot_lead_out_of_the_cache(session, files, cache):
    published = publish(session, files)
    body = json.loads(session.store.get(published.key))
    body["files"]["detector/../../../../../evil"] = body["files"]["labels.json"]
    session.store.put(published.key, json.dumps(body).encode())
    go_live(session, published)

    with pytest.raises(InputError, match="no place inside its folder"):
        pull(session.store, cache=cache, detector=True)
    assert not list(cache.parent.rglob("evil"))


def test_a_store_that_is_away_can_be_done_without(session, live, cache, caplog):
    pull(session.store, cache=cache)
    away = unreachable(session)

    with pytest.raises(UnavailableError):
        pull(away, cache=cache)
    model = pull(away, cache=cache, offline_ok=True)

    assert "going on with" in caplog.text
    expected = softmax(Tiny().logits(pictures()) / Tiny().temperature, axis=1)
    np.testing.assert_allclose(model.predict(pictures()), expected, atol=1e-5)


def lose_a_file(session, model):
    session.store.delete([model.files["model.bin"]["key"]])


def change_it(session, model):
    session.store.put(model.key, session.store.get(model.key) + b" ")


def delete_it(session, model):
    session.store.delete([model.key])


def change_the_channel(session, model):
    session.store.put("channels/classifier/production.json", b"{}")


WRONG = {"lost a file": lose_a_file, "changed": change_it, "gone": delete_it, "no release": change_the_channel}


@pytest.mark.parametrize("spoil", WRONG.values(), ids=WRONG)
def test_the_model_that_was_verified_last_is_good_until_a_better_one_is(session, files, live, cache, spoil):
    first = pull(session.store, cache=cache)
    newer = publish(session, files, tag="newer")
    go_live(session, newer)
    spoil(session, newer)

    with pytest.raises(InputError) as refused:
        pull(session.store, cache=cache)
    for _ in range(2):
        model = pull(session.store, cache=cache, offline_ok=True)
        assert (model.id, model.generation, model.instead) == (first.id, first.generation, str(refused.value))
    assert first.instead == ""


def test_a_model_that_answers_otherwise_than_published_replaces_none(session, files, live, cache):
    first = pull(session.store, cache=cache)
    other = Tiny(seed=5).files()
    changed = {**files, "model.xml": other["model.xml"], "model.bin": other["model.bin"]}
    go_live(session, publish(session, changed, tag="other"))

    model = pull(session.store, cache=cache, offline_ok=True)
    assert model.id == first.id
    assert "golden pictures are off" in model.instead


def test_keys_that_were_revoked_end_no_app(session, live, cache, monkeypatch):
    first = pull(session.store, cache=cache)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "revoked")
    locked_out = Store(session.config.store)

    with pytest.raises(AccessError):
        pull(locked_out, cache=cache)
    model = pull(locked_out, cache=cache, offline_ok=True)
    assert model.id == first.id
    assert "check AWS_ACCESS_KEY_ID" in model.instead


def test_where_nothing_was_verified_before_the_reason_is_raised(session, files, cache):
    newer = publish(session, files)
    go_live(session, newer)
    lose_a_file(session, newer)
    with pytest.raises(InputError, match="has lost a file"):
        pull(session.store, cache=cache, offline_ok=True)


def test_without_the_store_a_changed_cache_is_not_trusted(session, live, cache):
    pull(session.store, cache=cache)
    cached(cache, "model.bin").write_bytes(b"\0" * 10)

    with pytest.raises(UnavailableError):
        pull(unreachable(session), cache=cache, offline_ok=True)


def test_without_the_store_an_empty_cache_is_of_no_help(session, cache):
    with pytest.raises(UnavailableError):
        pull(unreachable(session), cache=cache, offline_ok=True)


def test_a_model_cannot_be_changed(session, live, cache):
    model = pull(session.store, cache=cache)

    with pytest.raises(AttributeError):
        model.threshold = 0.0  # type: ignore[misc]


def test_what_an_app_gets_wrong_is_said_in_a_sentence(session, live, tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(InputError, match=r"'bucket/cars' is no address of a bucket, such as s3://my-bucket/cars"):
        open_channel("bucket/cars")
    session.store.put("channels/clasifier/history/1.json", b"{}")
    with pytest.raises(InputError, match=r"channel clasifier in s3://.*; it has classifier\."):
        pull(session.store, "clasifier")
    with pytest.raises(InputError, match=r"The cache .*file cannot be used: "):
        pull(session.store, cache=str(tmp_path / "file"))
