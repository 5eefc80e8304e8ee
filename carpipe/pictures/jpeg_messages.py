"""What libjpeg says while it goes on decoding (jerror.h), and what it means: is data of the picture missing?"""

import re

PREMATURE_END = "Premature end of JPEG file"
STARVED = "Corrupt JPEG data: premature end of data segment"
EXTRANEOUS = "Corrupt JPEG data: %u extraneous bytes before marker 0x%02x"

# The messages of libjpeg-turbo that are warnings, as it spells them. True: data is missing or wrong.
WARNINGS = {
    "Unknown Adobe color transform code %d": False,
    # A scan is missing, or there twice.
    "Inconsistent progression sequence for component %d coefficient %d": True,
    EXTRANEOUS: True,
    STARVED: True,
    "Corrupt JPEG data: bad Huffman code": True,
    "Warning: unknown JFIF revision number %d.%02d": False,
    PREMATURE_END: True,
    "Corrupt JPEG data: found marker 0x%02x instead of RST%d": True,
    "Invalid SOS parameters for sequential JPEG": False,
    "Application transferred too many scanlines": False,
    "Corrupt JPEG data: bad arithmetic code": True,
    "Corrupt JPEG data: bad ICC marker": False,
}


def _pattern(spelt: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"%u|%d|%0?2[dx]", r"([0-9a-f]+)", re.escape(spelt).replace(r"\%", "%")))


_PATTERNS = {spelt: _pattern(spelt) for spelt in WARNINGS}


def is_loss(message: str) -> bool | None:
    """Whether a warning means that data is missing or wrong. None: it is no warning, decoding failed."""
    return next((WARNINGS[spelt] for spelt, pattern in _PATTERNS.items() if pattern.search(message)), None)


def surplus(message: str) -> int:
    """How many bytes were left over before the end marker; 0 where this is not what is said."""
    found = _PATTERNS[EXTRANEOUS].search(message)
    return int(found[1]) if found and found[2] == "d9" else 0
