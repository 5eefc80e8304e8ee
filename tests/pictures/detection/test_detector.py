"""Detectors loaded by several threads at once leave PIL as it was; boxes are told in the photo's own pixels."""

import subprocess
import sys

import pytest

from carpipe.pictures.detection.cut import in_full_size


def test_a_box_is_told_in_pixels_of_the_whole_picture():
    assert in_full_size([10.0, 20.0, 50.5, 60.0], (3000, 2250), (12000, 9000)) == [40.0, 80.0, 202.0, 240.0]
    assert in_full_size([1.5, 2.0, 3.0, 4.0], (90, 60), (90, 60)) == pytest.approx([1.5, 2.0, 3.0, 4.0])


@pytest.mark.parametrize("first", ["", "import ultralytics.utils"], ids=["carpipe", "somebody-else"])
def test_pil_opens_pictures_as_before_whoever_loaded_a_detector(first):
    code = f"""
import threading
from PIL import Image
before = Image.open
{first}
from carpipe.pictures.detection.ultralytics_runtime import import_ultralytics
threads = [threading.Thread(target=import_ultralytics) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert Image.open is before, Image.open
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
