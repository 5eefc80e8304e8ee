"""libjpeg-turbo's own list of messages holds the table of them."""

import re
from pathlib import Path

import pytest
import simplejpeg

from carpipe.pictures.jpeg_messages import WARNINGS, is_loss, surplus

# Errors and traces that stand among the warnings.
NO_WARNINGS = {"Arithmetic table 0x%02x was not defined"}


def messages_of_the_library():
    """What stands between the first and the last warning in the decoder's own file, in the order of jerror.h."""
    [binary] = Path(simplejpeg.__file__).parent.glob("_jpeg*.so")
    texts = [text.decode() for text in re.findall(rb"[ -~]{12,}(?=\0)", binary.read_bytes())]
    first = texts.index("Unknown Adobe color transform code %d")
    last = texts.index("Corrupt JPEG data: bad ICC marker")
    assert first < last < first + 40
    return set(texts[first : last + 1]), set(texts)


def test_every_warning_of_the_library_is_sorted():
    between, everything = messages_of_the_library()

    assert between - NO_WARNINGS <= set(WARNINGS)
    assert set(WARNINGS) <= everything


@pytest.mark.parametrize("spelt", WARNINGS)
def test_a_message_is_known_with_its_numbers(spelt):
    said = spelt.replace("%d.%02d", "9.77").replace("0x%02x", "0xdb").replace("%u", "2").replace("%d", "3")

    assert is_loss(said) is WARNINGS[spelt]
    assert is_loss(f"VipsJpeg: {said}\n") is WARNINGS[spelt]


def test_what_ends_decoding_is_no_warning():
    assert is_loss("Bogus Huffman table definition") is None


def test_how_much_was_left_over_is_told_of_the_end_only():
    assert surplus("Corrupt JPEG data: 24 extraneous bytes before marker 0xd9") == 24
    assert surplus("Corrupt JPEG data: 24 extraneous bytes before marker 0xdb") == 0
