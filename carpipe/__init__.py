"""carpipe: from a bucket of car listing photos to published make/model weights."""

__version__ = "0.2.0"
