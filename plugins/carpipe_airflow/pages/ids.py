"""Ids in addresses, as `carpipe.manifest.digest` makes them, or their first digits."""

from typing import Annotated

from fastapi import Path

Id = Annotated[str, Path(pattern="^[0-9a-f]{4,20}$")]
