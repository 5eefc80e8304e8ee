"""Numbers of as many bytes as they need, seven bits in each, the lowest first: LEB128 of AV1, varints of protobuf."""


def read_varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """The number at a place, and the place behind it.

    Raises:
        IndexError: the data end before it does.
        ValueError: it has more than 64 bits.
    """
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than 64 bits")
