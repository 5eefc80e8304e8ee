"""Real photos through the API and through the pipeline's functions: the same answers."""

import pytest

from carpipe.config import CropConfig
from carpipe.pictures.detection.detector import Detector
from carpipe.pictures.model_input import to_batch
from carpipe.stages.crop import crop
from tests.serving.conftest import post, ready, serving
from tests.serving.test_app import overlap
from tests.tiny import CLASSES, SIDE, Tiny, crop_files, go_live, publish

pytestmark = [pytest.mark.slow]

PHOTOS = 25


def test_real_photos_get_the_answers_of_the_pipeline(session, cache, data):
    detector = data / "weights" / "yolov8n_int8.tflite"
    go_live(session, publish(session, Tiny().files() | crop_files(detector)))
    files = sorted((data / "raw").rglob("*.jpg"))
    named = [(file.name, file.read_bytes()) for file in files[:: len(files) // PHOTOS][:PHOTOS]]
    config = CropConfig()
    table, crops = crop(named, detector=Detector(detector, config=config), config=config, max_pixels=40_000_000)
    results = table.set_index("key")

    with serving(session, cache) as client:
        ready(client)
        replies = {name: post(client, photo) for name, photo in named}

    for name, response in replies.items():
        reply = response.json()
        if name not in crops:
            # What cleaning would have dropped by its size never came to the stage.
            assert reply["reason"] in (results.loc[name, "reason"], "too_small")
            continue
        scores = Tiny().probabilities(to_batch([crops[name]], SIDE))[0]
        assert reply["prediction"] == CLASSES[scores.argmax()]
        assert overlap(reply["box"], results.loc[name, "box"]) > 0.99
    assert len(crops) > PHOTOS / 2
    assert len({response.json().get("prediction") for response in replies.values()}) > 3
