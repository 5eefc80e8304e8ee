"""The recorded bucket as a later version might have written it: fields, columns, stages that this one does not know."""

import csv
import hashlib
import io
import json
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from carpipe.forms import TABLE_FORM
from carpipe.steps import chain
from carpipe.steps.session import Session
from tests.recorded import restore

# What a later version says in addition, in every object.
LATER = {"reviewed": {"by": "a later version", "of": [1, 2.5, None]}}
# Objects that only such a field refers to.
KEPT_BY_A_FIELD = "stages/clean/p00000-0/0123456789abcdef0123/reviewed-0123456789ab.json"
# Files where this version expects none.
OTHER_FILES = (
    "stages/inventory/log/999999.json.sig",
    "stages/inventory/log/summary/999999.json",
    "stages/inventory/forgotten/index.parquet",
    "stages/split/ledger/index.parquet.sig",
    "channels/classifier/history/000001.json.sig",
    "channels/classifier/decisions/latest.sig",
    "channels/classifier/decisions/archive/2026.parquet",
    "datasets/README.md",
    "models/classifier/index.html",
)
JSON_OBJECTS = ("channels/", "stages/inventory/log/", "stages/inventory/forgotten/")


def restore_later(session: Session) -> None:
    """Put the bucket of a later version into the session's: the recorded one and a night over it, then aged."""
    restore(session)
    chain.run(session, run_id="now", now=lambda: "2026-01-20T00:00:00Z", progress=lambda stage, done: None)
    changed: dict[str, bytes] = {}  # by the sha256 of what was there before
    manifests = []
    for key in sorted(info.key for info in session.store.list_objects("")):
        data = session.store.get(key)
        if key.endswith("/manifest.json"):
            manifests.append((key, data))
            continue
        new = aged(key, data)
        if new is not data:
            changed[_sha256(data)] = new
        session.store.put(key, new)
    for key, data in manifests:
        session.store.put(key, aged_manifest(data, changed))
    session.store.put(KEPT_BY_A_FIELD, b"{}")
    for key in OTHER_FILES:
        session.store.put(key, b"of a later version")


def aged(key: str, data: bytes) -> bytes:
    """A file of a later version."""
    name = key.rpartition("/")[2]
    if key.startswith(JSON_OBJECTS):
        return _json({**json.loads(data), **LATER, "refers_to": KEPT_BY_A_FIELD, **_aged_parts(json.loads(data))})
    if key.startswith("stages/split/ledger/"):
        return _with_column(data, "since", "2026-01-01")
    if key.startswith("labels/") and name.endswith(".csv"):
        return _with_csv_column(data, "device", "phone")
    if name.startswith("taxonomy") and name.endswith(".yaml"):
        return data + b"groups:\n  later: [audi_a4]\n"
    if name.startswith(("calibration", "crop-", "crop.json", "preprocessing", "validation")):
        return _json({**json.loads(data), **LATER})
    if name.startswith("metrics"):
        return _json({**json.loads(data), "test_later": 0.5, "test_by_make": {"audi": 0.5}})
    if name.startswith(("photos", "predictions")) and name.endswith(".parquet"):
        return _with_column(_dropped_by_a_later_stage(data), "beauty", 0.5)
    return data


def aged_manifest(data: bytes, changed: dict[str, bytes] | None = None) -> bytes:
    """A manifest of a later version, with the sizes and digests of its files."""
    body = json.loads(data)
    for entry in [*body["files"].values(), *body["extra"].get("shards", ())]:
        if (new := (changed or {}).get(entry["sha256"])) is not None:
            entry |= {"bytes": len(new), "sha256": _sha256(new)}
        entry["crc32c"] = "later"
    body["extra"]["later"] = {"nested": ["thing"]}
    if "metrics" in body["extra"]:
        body["extra"]["metrics"] |= {"test_later": 0.5, "test_by_make": {"audi": 0.5}}
    body["counts"]["later"] = 7
    return _json({**body, **LATER})


def of_form(data: bytes, number: int) -> bytes:
    """A JSON object, a table or a CSV with the number of its form."""
    if data[:4] == b"PAR1":
        table = pq.read_table(io.BytesIO(data))
        return _parquet(table.replace_schema_metadata({**(table.schema.metadata or {}), TABLE_FORM: str(number)}))
    if data.lstrip()[:1] == b"{":
        return _json({**json.loads(data), "form": number})
    return _with_csv_column(data, TABLE_FORM, str(number))


def _aged_parts(body: dict[str, Any]) -> dict[str, Any]:
    """Entries of an inventory, each with a field more."""
    found: dict[str, Any] = {}
    if isinstance(body.get("partitions"), list) and "generation" in body:
        found["partitions"] = [{**part, "bytes": 5} for part in body["partitions"]]
    return found


def _dropped_by_a_later_stage(data: bytes) -> bytes:
    photos = pd.read_parquet(io.BytesIO(data))
    if "split" not in photos or not (photos["dropped_by"] == "classes").any():
        return data
    row = photos.index[photos["dropped_by"] == "classes"][0]
    photos.loc[row, ["dropped", "dropped_by"]] = ["stale", "grade"]
    sink = io.BytesIO()
    photos.to_parquet(sink, index=False)
    return sink.getvalue()


def _with_column(data: bytes, name: str, value: object) -> bytes:
    table = pq.read_table(io.BytesIO(data))
    return _parquet(table.append_column(name, pa.array([value] * len(table))))


def _with_csv_column(data: bytes, name: str, value: str) -> bytes:
    header, *rows = csv.reader(io.StringIO(data.decode()))
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([[*header, name], *([*row, value] for row in rows)])
    return text.getvalue().encode()


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def _json(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
