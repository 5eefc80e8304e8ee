"""JSON of foreign text: half a surrogate pair, which JSON may hold, cannot be written as UTF-8."""

import json
from typing import Any

from fastapi.responses import JSONResponse


class AsciiJson(JSONResponse):
    """JSON with escapes for all that is not ASCII."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")
