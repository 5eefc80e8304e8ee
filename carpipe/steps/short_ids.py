"""Short ids: a dataset, a model, a validation or an advice by the first digits of its id, as people say them.

An id is 20 hex digits, which nobody types: the first four are enough wherever they are no other one's.
"""

import re
from collections.abc import Sequence

from carpipe.errors import InputError
from carpipe.names import counted
from carpipe.storage import Store

MANIFEST = "/manifest.json"
DIGITS, LEAST = 20, 4
_WHOLE = re.compile(rf"[0-9a-f]{{{DIGITS}}}")
_FIRST = re.compile(rf"[0-9a-f]{{1,{DIGITS - 1}}}")
# Ids that a message names at most.
NAMED = 10


def whole_key(store: Store, given: str, home: str, *, what: str) -> str:
    """The manifest key that is meant by a key, with or without the bucket, by an id, or by the first digits of one.

    It says nothing of whether there is a manifest. Only where digits are missing is anything asked of the bucket.

    Args:
        home: the folder of the results, such as `datasets` or `models/<name>`; keys of other ones stay as they are.
        what: the word for one of them, in messages.

    Raises:
        InputError: as `whole_id`.
    """
    given = given.strip().removeprefix(f"{store.url}/")
    name = given.removeprefix(f"{home}/").removesuffix(MANIFEST)
    return given if "/" in name else f"{home}/{whole_id(store, name, home, what=what)}{MANIFEST}"


def whole_id(store: Store, given: str, home: str, *, what: str) -> str:
    """The id of one of the results right below `home` that begins with these hex digits; other texts stay as they are.

    Raises:
        InputError: there are too few digits, or there is none, or more than one; names those that there are.
    """
    if not _FIRST.fullmatch(given.lower()):
        return given
    if len(given) < LEAST:
        raise InputError(f"The id of a {what} is {DIGITS} hex digits; say the first {LEAST} at least, not {given!r}.")
    there = sorted(folder.rpartition("/")[2] for folder in store.list_folders(home))
    there = [one for one in there if _WHOLE.fullmatch(one)]
    found = [one for one in there if one.startswith(given.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"The ids of {counted(len(found), what)} begin with {given}: {_names(found)}. Say more of it.")
    others = f"there {'is' if len(there) == 1 else 'are'} {_names(there)}" if there else f"there is no {what} at all"
    raise InputError(f"No id of a {what} in {store.url} begins with {given}; {others}.")


def _names(ids: Sequence[str]) -> str:
    more = len(ids) - NAMED
    return ", ".join(ids[:NAMED]) + (f" and {more:,} more" if more > 0 else "")
