"""A bucket of drawn listings, each with a car to the left, one to the right, and an inside; and labels of them."""

import io
import uuid

import numpy as np
from PIL import Image, ImageDraw

from carpipe.steps.labels.store import import_labels
from carpipe.steps.viewpoints.store import import_views

LISTINGS = 40
VIEWS = ("profile-on-left", "profile-on-right", "in")
AT = "20260101T000000Z"


def draw(view, rng):
    """A bonnet on one side of a cabin; or a wheel inside."""
    # Each before a backdrop of its own: else all would be copies of one picture.
    image = Image.fromarray(rng.integers(0, 200, (5, 7, 3), np.uint8)).resize((160, 110), Image.Resampling.NEAREST)
    pen, colour = ImageDraw.Draw(image), tuple(int(part) for part in rng.integers(140, 255, 3))
    dx, dy = (int(part) for part in rng.integers(-6, 7, 2))
    if view == "in":
        pen.ellipse((45 + dx, 20 + dy, 115 + dx, 90 + dy), outline=(20, 20, 20), width=9)
    else:
        pen.rectangle((20 + dx, 50 + dy, 140 + dx, 80 + dy), fill=colour)
        pen.rectangle((70 + dx, 25 + dy, 140 + dx, 50 + dy), fill=colour)
    file = io.BytesIO()
    (image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if view == "profile-on-right" else image).save(file, "JPEG")
    return file.getvalue()


def keys(seed=1):
    """View by photo key."""
    rng = np.random.default_rng(seed)
    found = {}
    for number in range(LISTINGS):
        listing = uuid.UUID(bytes=rng.bytes(16), version=4)
        for place, view in enumerate(VIEWS, start=1):
            photo = uuid.UUID(bytes=rng.bytes(16), version=4)
            found[f"audi_a3_2001/{number}_{place}_{listing}_{photo}.jpg"] = view
    return found


def fill(session):
    """Upload the photos and say of each whether it shows a car from outside; returns the view by key."""
    views, rng = keys(), np.random.default_rng(2)
    for key, view in views.items():
        session.store.put(f"raw/{key}", draw(view, rng))
    rows = (f"{key},{'no_auto' if view == 'in' else 'auto'}" for key, view in views.items())
    import_labels(session, "\n".join(["key,label", *rows]).encode(), at=AT)
    return views


def label_views(session, views, *, at=AT):
    """Say from where each photo shows the car."""
    rows = (f"{key},{view}" for key, view in views.items())
    return import_views(session, "\n".join(["key,view", *rows]).encode(), at=at)
