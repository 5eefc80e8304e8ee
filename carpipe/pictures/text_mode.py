"""Files that a transfer took for text: line ends rewritten, in a picture's data as well."""

import numpy as np

from carpipe.pictures.runs import is_dense

# Among compressed data one line feed in 256 follows a carriage return by chance. So many, all of which do, are none:
# one file in 16 million.
_PAIRS = 3
# Of two characters one is not there at all, and the other is this often: one file in 16 million.
_NONE = 24
_FEED, _RETURN = 10, 13


def may_be_mangled(data: bytes, start: int, stop: int) -> bool:
    """Whether the first line feed and the first carriage return in data[start:stop] leave it open; most do not."""
    feed, back = data.find(b"\n", start, stop), data.find(b"\r", start, stop)
    return feed < 0 or back < 0 or data[feed - 1] == _RETURN or data[back + 1 : back + 2] == b"\n"


def is_mangled(data: bytes) -> bool:
    """Whether line ends were rewritten in compressed data: LF or CR to CR LF, or one of the two to the other.

    CR LF to LF leaves no trace of its own: there are few of them.
    """
    values = np.frombuffer(data, np.uint8)
    feeds, returns = np.flatnonzero(values == _FEED), np.flatnonzero(values == _RETURN)
    few, many = sorted((len(feeds), len(returns)))
    if few >= _PAIRS:
        pairs = int(np.count_nonzero(values[feeds - 1] == _RETURN)) - int(feeds[0] == 0 and values[-1] == _RETURN)
        suspicious = pairs == few
    else:
        suspicious = few == 0 and many >= _NONE
    # Drawn areas repeat a few bytes, and then these prove nothing.
    return suspicious and is_dense(data)
