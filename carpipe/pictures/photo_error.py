"""Why bytes are no usable photo."""

from carpipe.errors import InputError


class PhotoError(InputError):
    """The bytes are no usable photo; `reason` is what the photo table calls it.

    `damage` is the share of the picture that is not known to be whole; None where there is no picture to speak of.
    `format` is what the file is, where that is known.
    """

    def __init__(self, reason: str, message: str, *, damage: float | None = None, format: str | None = None):  # noqa: A002  # as the table calls it
        super().__init__(message)
        self.reason = reason
        self.damage = damage
        self.format = format
