"""Detectors loaded by several threads at once leave PIL as it was."""

import subprocess
import sys


def test_pil_opens_pictures_as_before_whoever_loaded_a_detector(tmp_path):
    code = """
import threading
from PIL import Image
before = Image.open
from carpipe.pictures.detection import import_ultralytics
threads = [threading.Thread(target=import_ultralytics) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert Image.open is before, Image.open
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
