"""Files that a transfer took for text: line ends rewritten, in a picture's data as well."""

import numpy as np

# Among compressed data one line feed in 256 follows a carriage return by chance. So many, all of which do, are none.
_ENOUGH = 8
# Of two characters one is not there at all, and the other is this often: e to the minus 24.
_NONE = 24
# Byte values of 256. Compressed data of photos hold all of them; drawn areas repeat a few, and line ends prove nothing.
_VARIED = 240
_FEED, _RETURN = 10, 13


def is_mangled(data: bytes) -> bool:
    """Whether line ends were rewritten in compressed data: LF to CR LF, or CR, LF and CR LF to one of them."""
    values = np.frombuffer(data, np.uint8)
    feeds = np.flatnonzero(values == _FEED)
    returns = data.count(b"\r")
    paired = len(feeds) >= _ENOUGH and returns >= len(feeds) and bool((values[feeds - 1] == _RETURN).all())
    one_kind = (not returns and len(feeds) >= _NONE) or (not len(feeds) and returns >= _NONE)
    return (paired or one_kind) and int(np.count_nonzero(np.bincount(values, minlength=256))) >= _VARIED
