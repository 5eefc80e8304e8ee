"""The API: a photo in, the pipeline's own answer out; what is no photo of a car is said in JSON."""

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax
from scipy.stats import gmean

from carpipe import serving as package
from carpipe.config import CropConfig
from carpipe.pictures.detection.detector import Detector
from carpipe.pictures.model_input import to_batch
from carpipe.sample import DETECTOR
from carpipe.stages.crop import crop
from carpipe.steps.labels.candidates import list_candidates
from tests.serving.conftest import encode, post, ready, serving, wait_for
from tests.tiny import CLASSES, SIDE, Tiny, crop_files, go_live, publish


@pytest.fixture(scope="module")
def cropped(photos):
    """Boxes and crops as the pipeline's stage makes them."""
    config = CropConfig(image_size=320)
    named = [(str(number), photo) for number, photo in enumerate(photos)]
    table, crops = crop(named, detector=Detector(DETECTOR, config=config), config=config, max_pixels=40_000_000)
    return {int(row.key): (row.box, crops[row.key]) for row in table.itertuples() if row.key in crops}


def test_it_answers_what_the_pipeline_and_the_model_would(api, photos, cropped):
    answered = set()
    for number, (box, jpeg) in cropped.items():
        reply = post(api, photos[number]).json()

        scores = softmax(Tiny().logits(to_batch([jpeg], SIDE))[0] / Tiny().temperature)
        order = np.argsort(-scores)[:5]
        assert reply["prediction"] == CLASSES[order[0]]
        assert [entry["class"] for entry in reply["top5"]] == [CLASSES[place] for place in order]
        assert [entry["score"] for entry in reply["top5"]] == pytest.approx(scores[order], abs=1e-3)
        assert reply["score"] == reply["top5"][0]["score"]
        assert reply["sure"] == (scores.max() >= Tiny().threshold)
        assert reply["make"] == reply["top5"][0]["make"] == CLASSES[order[0]].split("_")[0]
        assert reply["box"] == box
        answered.add(reply["prediction"])
    assert len(answered) > 2, "all the same: this proves little"


def test_the_box_of_a_large_photo_is_in_its_own_pixels(api, drawn):
    photo, truth = drawn[0]
    image = Image.open(io.BytesIO(photo))
    scale = -(-4200 // min(image.size))  # more than twice what the detector is shown
    large = image.resize((image.width * scale, image.height * scale))

    reply = post(api, encode(large, "JPEG", quality=80)).json()

    assert (reply["width"], reply["height"]) == large.size
    assert overlap(reply["box"], [scale * edge for edge in (truth.x0, truth.y0, truth.x1, truth.y1)]) > 0.8


def test_the_box_is_where_the_car_was_drawn(api, drawn):
    shares = []
    for photo, truth in drawn[:8]:
        reply = post(api, photo).json()
        assert (reply["width"], reply["height"]) == Image.open(io.BytesIO(photo)).size
        shares.append(overlap(reply["box"], (truth.x0, truth.y0, truth.x1, truth.y1)))

    assert np.median(shares) > 0.8


def overlap(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(0, width) * max(0, height)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return both / (sum(areas) - both)


def test_an_answer_names_the_model(api, photos):
    reply = post(api, photos[0]).json()

    assert reply["success"] is True
    assert reply["model"] == api.get("/healthz").json()["model"]
    assert (reply["model"]["channel"], reply["model"]["generation"]) == ("classifier", 1)
    assert re.fullmatch("[0-9a-f]{32}", reply["id"])
    assert api.get("/classes").json()["classes"] == list(CLASSES)


def test_photos_of_one_car_are_answered_together(api, photos, cropped, blank):
    chosen = sorted(cropped)[:3]

    reply = post(api, *(photos[number] for number in chosen), blank, b"oops", url="/predict/listing").json()

    each = softmax(Tiny().logits(to_batch([cropped[number][1] for number in chosen], SIDE)) / 2, axis=1)
    together = gmean(np.maximum(each, 1e-6), axis=0)
    assert reply["prediction"] == CLASSES[together.argmax()]
    assert reply["score"] == pytest.approx(together.max() / together.sum(), abs=1e-3)
    assert [photo["success"] for photo in reply["photos"]] == [True] * 3 + [False] * 2
    assert [photo.get("reason") for photo in reply["photos"][3:]] == ["no_vehicle", "not_an_image"]
    assert all(photo["error"] for photo in reply["photos"][3:])


KNOWING = {"stand_out": 1.0, "likeness": 0.0, "offset": 0.0, "threshold": 0.0, "alike": 0.25}


def test_a_car_of_no_class_is_said_and_kept_for_labelling(session, cache, photos, cropped):
    chosen = sorted(cropped)[:6]
    crops = to_batch([cropped[number][1] for number in chosen], SIDE)
    p = np.sort(Tiny().probabilities(crops), axis=1)
    odds = np.log(p[:, -1] / p[:, :-1].sum(axis=1))  # what `KNOWING` counts, and nothing else
    middle = float(np.median(odds))
    tiny = Tiny(threshold=0.0, known={**KNOWING, "offset": -middle})
    go_live(session, publish(session, tiny.files() | crop_files(image_size=320)))

    with serving(session, cache) as client:
        ready(client)
        replies = [post(client, photos[number]).json() for number in chosen]
        together = post(client, *(photos[number] for number in chosen[:3]), url="/predict/listing").json()
        [*kept] = wait_for(lambda: len(found := list_candidates(session)) >= 3 and found)

    assert [reply["known"] for reply in replies] == (odds >= middle).tolist()
    assert [reply["familiarity"] for reply in replies] == pytest.approx(odds - middle, abs=2e-3)
    assert all(reply["sure"] for reply in replies)
    assert together["familiarity"] == pytest.approx((odds - middle)[:3].mean(), abs=2e-3)
    assert together["known"] == (together["familiarity"] >= 0)
    assert {one.reason for one in kept} == {"unsure"}
    assert {one.answer["known"] for one in kept} == {False}


def test_a_model_that_does_not_say_answers_null(api, photos):
    reply = post(api, photos[0]).json()

    assert (reply["known"], reply["familiarity"], reply["years"]) == (None, None, None)


def test_years_are_answered_for_a_photo_and_for_a_listing(session, cache, photos, cropped):
    chosen = sorted(cropped)[:3]
    row = {"offset": 2000.0, "within": 0.0, "first": 1000, "last": 9999}
    tiny = Tiny(years={"classes": dict.fromkeys(CLASSES, row)})
    go_live(session, publish(session, tiny.files() | crop_files(image_size=320)))
    newer = tiny.newer(to_batch([cropped[number][1] for number in chosen], SIDE))

    with serving(session, cache) as client:
        ready(client)
        replies = [post(client, photos[number]).json() for number in chosen]
        together = post(client, *(photos[number] for number in chosen), url="/predict/listing").json()

    assert [reply["years"] for reply in replies] == [[round(2000 + new)] * 2 for new in newer]
    assert together["years"] == [round(2000 + newer.mean())] * 2


def test_a_listing_without_a_usable_photo_is_an_error(api, blank):
    response = post(api, blank, blank, url="/predict/listing")

    assert response.status_code == 422
    assert response.json()["error"] == "None of the photos can be used."


def huge_png():
    """A PNG of 60,000 x 60,000 pixels by its header, and of 100 bytes."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def jpeg(width=200, height=150, **options):
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return encode(Image.fromarray(noise), "JPEG", **options)


UNUSABLE = {
    "empty": (b"", 422, "empty"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', 415, "unsupported_format"),
    "html": (b"<!doctype html><script>alert(1)</script>", 415, "not_an_image"),
    "tiff": (encode(Image.new("RGB", (99, 99)), "TIFF"), 415, "unsupported_format"),
    "bomb": (huge_png(), 422, "bomb"),
    "truncated": (jpeg()[:4000], 422, "truncated"),
    "damaged": (jpeg()[:3000] + b"\xff\xd9" * 40 + jpeg()[3080:], 422, None),
    "too small": (jpeg(63, 200), 422, "too_small"),
    "no car": (encode(Image.new("RGB", (90, 70), (200, 30, 10))), 422, "no_vehicle"),
    "large exif": (jpeg(exif=b"Exif\0\0II*\0" + b"\xff" * 60_000), 422, "no_vehicle"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_what_is_no_photo_of_a_car_is_refused_with_a_reason(api, kind):
    data, status, reason = UNUSABLE[kind]

    response = post(api, data, name="car.jpg")

    assert (response.status_code, response.json()["success"]) == (status, False)
    assert response.json()["error"]
    if reason:
        assert response.json()["reason"] == reason


@pytest.mark.parametrize("route", ["/predict", "/predict/listing"])
def test_a_format_that_is_not_read_is_named(api, route):
    reply = api.post(route, files={"file": ("car.jpg", UNUSABLE["tiff"][0], "image/jpeg")}).json()

    refused = reply["photos"][0] if "photos" in reply else reply
    assert refused["format"] == "TIFF"
    assert "TIFF" in refused["error"]
    assert "JPEG" in refused["error"]


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"%PDF-1.7\n" + bytes(300), "This is a PDF. Send a JPEG, PNG, WebP, HEIC, AVIF, BMP or GIF."),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + bytes(300), "This is an MP4 video. Send a JPEG,"),
        (UNUSABLE["svg"][0], "This is an SVG drawing. Send a JPEG,"),
        (UNUSABLE["tiff"][0], "This is a TIFF picture, or the raw file of a camera. Send a JPEG,"),
        (b"oops", "This is no picture of a kind that is known. Send a JPEG,"),
    ],
)
def test_what_was_sent_by_mistake_is_called_by_its_name(api, sent, said):
    assert post(api, sent).json()["error"].startswith(said)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..\\..\\x", "a" * 4000, "<img src=x>.jpg", "ä\n.jpg"]
)
def test_names_of_files_mean_nothing(api, photos, name):
    assert post(api, photos[0], name=name).json()["success"]


def test_requests_that_are_none(api, photos):
    assert api.get("/predict").status_code == 405
    assert "POST" in api.get("/predict").headers["allow"]
    for response in (
        api.post("/predict"),
        api.post("/predict", data={"file": "text"}),
        api.post("/predict", content=photos[0]),
        api.post("/predict", content=photos[0], headers={"Content-Type": "application/x-www-form-urlencoded"}),
        api.post("/predict", content=b"", headers={"Content-Type": "text/plain"}),
        api.post("/predict", content=b"--x", headers={"Content-Type": "multipart/form-data; boundary=x"}),
        api.post("/predict", files={"other": ("a.jpg", photos[0])}),
        post(api, photos[0], photos[0]),
    ):
        assert (response.status_code, response.json()["success"]) == (400, False)
    assert "named `file`" in api.post("/predict").json()["error"]


@pytest.mark.parametrize(
    "path", ["/none", "/static/../app.py", "/static/..%2fapp.py", "/pages/index.html", "/predict/x"]
)
def test_other_addresses_are_not_found(api, path):
    response = api.get(path)

    assert (response.status_code, response.json()["success"]) == (404, False)


def test_large_requests_are_refused(session, live, cache, photos):
    with serving(session, cache, max_photo_mb=1, max_request_mb=2, max_listing_photos=3) as client:
        ready(client)
        padded = photos[0] + b"\0" * 1_200_000
        for response in (
            post(client, padded),
            post(client, padded, photos[0], url="/predict/listing"),
            post(client, *[photos[0] + b"\0" * 900_000] * 3, url="/predict/listing"),
            post(client, b"\0" * 8_000_000),
            client.post("/predict", files={"file": ("a.jpg", photos[0])}, data={f"f{n}": "x" for n in range(40)}),
            client.post("/predict", data={"file": "x" * 300_000}, files={"a": b""}),
        ):
            assert response.status_code == 413
        assert post(client, padded).json()["error"]
        assert post(client, *[photos[0]] * 4, url="/predict/listing").status_code == 400
        assert post(client, photos[0]).status_code == 200


def test_the_page_holds_nothing_from_elsewhere(api):
    response = api.get("/")
    folder = Path(package.__file__).parent / "pages"

    assert response.headers["content-type"].startswith("text/html")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for file in [path for path in folder.rglob("*") if path.is_file()]:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"https?://|innerHTML|insertAdjacentHTML|document\.write|style=\"| on\w+=\"", text), file
    for name in re.findall(r'(?:src|href)="(/[^"]+)"', response.text):
        assert api.get(name).status_code == 200


def test_before_there_is_a_model_it_says_so(session, tiny, cache, photos):
    with serving(session, cache) as client:
        health = wait_for(lambda: "Nothing was ever" in client.get("/healthz").text and client.get("/healthz"))
        assert (health.status_code, health.json()["model"]) == (503, None)
        response = post(client, photos[0])
        assert (response.status_code, response.headers["retry-after"]) == (503, "2")
        assert client.get("/").status_code == 200

        go_live(session, publish(session, tiny))

        ready(client)
        assert post(client, photos[0]).status_code == 200
