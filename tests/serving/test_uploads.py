"""Photos as the body: the same answers, limits and refusals as in a form."""

import pytest
from PIL import Image

from tests.serving.conftest import encode, post, ready, serving
from tests.serving.test_app import UNUSABLE
from tests.tiny import go_live, publish


def send(client, photo, kind="image/jpeg", url="/predict"):
    return client.post(url, content=photo, headers={"Content-Type": kind})


def without_ids(reply):
    """What does not change from request to request."""
    photos = {"photos": [without_ids(photo) for photo in reply["photos"]]} if "photos" in reply else {}
    return {name: value for name, value in (reply | photos).items() if name != "id"}


@pytest.mark.parametrize(
    "kind",
    ["image/jpeg", "IMAGE/JPEG", "image/png", "image/webp", "image/heic", "image/x-whatever; q=1",
     "application/octet-stream"],
)  # fmt: skip
def test_a_body_is_answered_as_a_form_is_whatever_it_calls_itself(api, photos, kind):
    response = send(api, photos[0], kind)

    assert response.status_code == 200
    assert without_ids(response.json()) == without_ids(post(api, photos[0]).json())


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP"])
def test_a_body_of_another_format_is_read(api, photos, kind, tmp_path):
    (tmp_path / "car").write_bytes(photos[0])
    photo = encode(Image.open(tmp_path / "car"), kind)

    assert send(api, photo, f"image/{kind.lower()}").json()["success"]


def test_a_body_is_a_listing_of_one_photo(api, photos):
    reply = send(api, photos[0], url="/predict/listing").json()

    assert reply["success"]
    assert [photo["prediction"] for photo in reply["photos"]] == [post(api, photos[0]).json()["prediction"]]


@pytest.mark.parametrize("kind", UNUSABLE)
@pytest.mark.parametrize("url", ["/predict", "/predict/listing"])
def test_a_body_is_refused_as_a_form_is(api, kind, url):
    data, _, _ = UNUSABLE[kind]
    mine, theirs = send(api, data, url=url), post(api, data, url=url)

    assert mine.status_code == theirs.status_code != 200
    assert without_ids(mine.json()) == without_ids(theirs.json())


def test_a_video_is_called_by_its_name(api):
    response = send(api, b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + bytes(300), "video/mp4")

    assert (response.status_code, response.json()["format"]) == (415, "MP4")


def test_a_body_that_is_too_long_is_refused(session, tiny, cache, photos):
    go_live(session, publish(session, tiny))
    with serving(session, cache, max_photo_mb=1, max_request_mb=2) as client:
        ready(client)
        for url in ("/predict", "/predict/listing"):
            longest = photos[0] + b"\0" * (1_000_000 - len(photos[0]))
            assert send(client, longest, url=url).status_code == 200
            for more in (1, 3_000_000):
                refused = send(client, longest + b"\0" * more, url=url)
                assert (refused.status_code, refused.json()["reason"]) == (413, "too_large")


def test_another_sites_page_cannot_send_a_body(api, photos):
    headers = {"Content-Type": "image/jpeg", "Origin": "https://example.org", "Sec-Fetch-Site": "cross-site"}

    assert api.post("/predict", content=photos[0], headers=headers).status_code == 403


def test_a_packed_body_is_refused(api, photos):
    headers = {"Content-Type": "image/jpeg", "Content-Encoding": "gzip"}

    assert api.post("/predict", content=photos[0], headers=headers).status_code == 415


def test_a_body_in_chunks_is_read(api, photos):
    pieces = (photos[0][at : at + 20_000] for at in range(0, len(photos[0]), 20_000))

    assert api.post("/predict", content=pieces, headers={"Content-Type": "image/jpeg"}).json()["success"]
