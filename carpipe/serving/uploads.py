"""Photos as requests bring them: parts of a form, or the body itself. What they call themselves is not looked at."""

from flask import request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

PART = "file"
# Kinds of a body that is a photo: pictures, and what programs and people send for want of one, which is then called
# by its name. Nothing else is parsed: the fields of a form that is no multipart cost 1 s of a core a million.
KINDS = ("image/", "video/", "application/octet-stream", "application/pdf")
NONE = (
    f"There is no photo: send it as multipart/form-data in a part named `{PART}`, or as the body with a Content-Type "
    "such as image/jpeg."
)


def sent_photos(limit: int, what: str, *, max_bytes: int) -> list[bytes]:
    """The photos of the request that is being answered.

    Args:
        limit: so many at most.
        what: that in words.
        max_bytes: of a body that is a photo.

    Raises:
        BadRequest: there is none, or there are too many.
        RequestEntityTooLarge: the body is too long.
    """
    if request.mimetype.startswith(KINDS):
        body = request.get_data(cache=False)
        if len(body) > max_bytes:
            raise RequestEntityTooLarge
        return [body]
    files = request.files.getlist(PART) if request.mimetype == "multipart/form-data" else []
    files = [file for file in files if file.filename or file.content_length]
    if not files:
        raise BadRequest(NONE)
    if len(files) > limit:
        raise BadRequest(f"There are {len(files)} photos; this takes {what}.")
    return [file.read() for file in files]
