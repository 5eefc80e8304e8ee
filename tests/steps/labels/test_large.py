"""What somebody makes huge among labels and candidates is not read, and says so."""

import json

import pytest

from carpipe.errors import InputError
from carpipe.steps.labels import candidates
from carpipe.steps.labels.candidates import download_candidates, list_candidates
from carpipe.steps.labels.store import read_labels
from carpipe.steps.people import files
from carpipe.steps.people.files import read_file

FOLDER = "labels/classifier/candidates/2026-01-01"


def test_a_huge_file_of_labels_is_named(session, monkeypatch, tmp_path):
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    session.store.put("labels/car-filter/huge.csv", b"key,label\n" + bytes(1000))
    with pytest.raises(InputError, match=r"huge\.csv in .* has more than the 1,000 bytes"):
        read_labels(session)
    (tmp_path / "huge.csv").write_bytes(bytes(1001))
    with pytest.raises(InputError, match="more than 1,000 bytes"):
        read_file(tmp_path / "huge.csv", "labels")


def test_huge_candidates_are_left_out(make_session, monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(candidates, "MAX_RECORD_BYTES", 1000)
    session = make_session(serving__max_photo_mb=1)
    answer = {"prediction": "golf", "score": 0.5, "model": {"id": "m"}}
    for name, size in (("a", 10), ("b", 1_000_001)):
        record = {"id": name, "at": "2026-01-01T00:00:00Z", "reason": "unsure", "answer": answer}
        session.store.put(f"{FOLDER}/{name}-unsure.json", json.dumps(record).encode())
        session.store.put(f"{FOLDER}/{name}.jpg", bytes(size))
    session.store.put(f"{FOLDER}/c-unsure.json", b"{" + bytes(2000))
    assert len(list_candidates(session)) == 2
    download_candidates(session, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "candidates.csv"]
    assert "b.jpg has 1000001 bytes" in caplog.text
