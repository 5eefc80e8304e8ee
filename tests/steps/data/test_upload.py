"""Upload: one bad file is named, and the others go on."""

import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from carpipe.cli import main
from carpipe.errors import InputError, StoreError, UnavailableError
from carpipe.steps.data.upload import upload
from carpipe.storage import Store
from tests.plugins import bucket


def put(folder, name, data=b"x"):
    path = os.path.join(os.fsencode(folder), name if isinstance(name, bytes) else name.encode())
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Path(os.fsdecode(path)).write_bytes(data)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for number in (1, 2):
        put(folder, bucket.key(number), bucket.jpeg(number))
    return folder


def there(session):
    return sorted(info.key.removeprefix("raw/") for info in session.store.list_objects("raw"))


GOOD = sorted([bucket.key(1), bucket.key(2)])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (b"citro\xebn_c3_2010/1.jpg", r"citro\xebn_c3_2010/1.jpg: its name is not in UTF-8; rename it"),
        (b"audi_a3_2010/\xff.jpg", r"audi_a3_2010/\xff.jpg: its name is not in UTF-8"),
        (b"audi_a3_2010/\xed\xa0\x80.jpg", r"audi_a3_2010/\xed\xa0\x80.jpg: its name is not in UTF-8"),
        (b"audi_a3_2010/a\nb.jpg", r"audi_a3_2010/a\nb.jpg: its name has control characters"),
        (b"audi_a3_2010/a\x7fb.jpg", r"audi_a3_2010/a\x7fb.jpg: its name has control characters"),
    ],
)
def test_a_name_that_no_key_can_have_is_named_and_the_others_go_on(session, photos, name, told, caplog):
    put(photos, name)

    done = upload(session, photos)

    assert there(session) == GOOD
    assert (done.uploaded, done.skipped, len(done.refused)) == (2, 0, 1)
    assert told in done.refused[0]
    assert told in caplog.text
    assert upload(session, photos).skipped == 2


def test_a_key_too_long_with_its_prefix_is_named(make_session, tmp_path, photos):
    session = make_session(store__url=f"s3://carpipe/{'p' * 200}/{'q' * 200}/{'r' * 200}")
    put(photos, f"{'a' * 200}_b_2010/{'c' * 240}.jpg")
    assert "longer than the 1,024 bytes" in upload(session, photos).refused[0]


def test_a_key_may_have_as_many_bytes_as_s3_allows_and_none_more(make_session, tmp_path):
    prefix = f"{'p' * 200}/{'q' * 200}/{'r' * 200}"
    folder = "a" * 200
    room = 1024 - len(f"{prefix}/raw/{folder}/")
    put(tmp_path, f"{folder}/{'c' * room}")
    put(tmp_path, f"{folder}/{'d' * (room + 1)}")
    session = make_session(store__url=f"s3://carpipe/{prefix}")
    done = upload(session, tmp_path)
    assert [(Path(path).name[0], "longer than the 1,024 bytes" in why) for path, why in refusals(done)] == [("d", True)]


def refusals(done):
    return [line.split(": ", 1) for line in done.refused]


def test_a_link_that_leads_to_itself_is_named_and_its_neighbours_go_on(session, photos):
    name = Path(bucket.key(1)).with_name("loop.jpg")
    (photos / name).symlink_to("loop.jpg")
    done = upload(session, photos)
    assert there(session) == GOOD
    assert [(path, why[:17]) for path, why in refusals(done)] == [(str(photos / name), "it cannot be read")]


def test_a_file_that_cannot_be_read_stops_no_other(session, photos, monkeypatch):
    real = Path.read_bytes

    def read(path):
        if path.name == bucket.key(1).split("/")[1]:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    done = upload(session, photos)
    assert there(session) == [bucket.key(2)]
    assert "it cannot be read. The account that runs this" in done.refused[0]


def test_what_the_server_refuses_stops_no_other_but_trouble_does(session, photos, monkeypatch):
    real, error = Store.put, StoreError("s3 refused it: KeyTooLongError.")

    def put_one(store, key, data):
        if key.endswith(bucket.key(1)):
            raise error
        return real(store, key, data)

    monkeypatch.setattr(Store, "put", put_one)
    assert "KeyTooLongError" in upload(session, photos).refused[0]
    assert there(session) == [bucket.key(2)]
    error = UnavailableError("no server")
    with pytest.raises(UnavailableError):
        upload(session, photos)


def test_two_files_of_one_name_are_told_and_none_overwrites_the_other(session, photos):
    name = "citroën_c3_2010/1.jpg"
    for form in ("NFC", "NFD"):
        put(photos, unicodedata.normalize(form, name), form.encode())
    done = upload(session, photos)
    assert "it has the same name as" in done.refused[0]
    assert session.store.get(f"raw/{name}") in (b"NFC", b"NFD")


def test_a_folder_of_nothing_else_is_told_as_such(session, tmp_path):
    put(tmp_path, b"audi_a3_2010/\xff.jpg")
    assert len(upload(session, tmp_path).refused) == 1
    with pytest.raises(InputError, match=r"There is no folder .*\\xff"):
        upload(session, tmp_path / os.fsdecode(b"\xff"))


@pytest.fixture
def store(session, monkeypatch):
    monkeypatch.setenv("CARPIPE_STORE", session.store.url)
    monkeypatch.delenv("CARPIPE_CONFIG", raising=False)


def test_the_command_says_the_number_and_fails(store, session, photos, capsys, caplog):
    put(photos, b"citro\xebn_c3_2010/1.jpg")
    put(photos, b"citro\xebn_c3_2010/2.jpg")
    assert main(["upload", str(photos)]) == 1
    said = capsys.readouterr()
    assert "2 photos uploaded, 0 were there already" in said.out
    assert "carpipe: 2 could not be uploaded and were passed over" in said.err
    assert caplog.text.count("not uploaded: ") == 2
    assert r"citro\xebn_c3_2010/1.jpg" in said.err
    assert there(session) == GOOD


def test_a_terminal_without_the_letters_stops_no_command(store, session, tmp_path):
    command = [sys.executable, "-m", "carpipe.cli", "upload", b"/none/citro\xebn\n"]
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "carpipe: There is no folder /none/citro\\xebn\\n.\n")


def test_output_is_escaped_where_the_terminal_lacks_the_letters(tmp_path):
    (tmp_path / "mine.yaml").write_text("version: 1\nunchanged: [citroën_c3]\n", "utf-8")
    command = [sys.executable, "-m", "carpipe.cli", "classes", "show", str(tmp_path / "mine.yaml")]
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert r"citro\xebn_c3" in done.stdout


def test_a_file_larger_than_any_photo_is_named_and_not_read(make_session, tmp_path):
    session = make_session(clean__max_bytes=5000)
    folder = tmp_path / "vw_golf_2014"
    folder.mkdir()
    (folder / "small.jpg").write_bytes(bytes(5000))
    with (folder / "large.jpg").open("wb") as file:
        file.truncate(300_000_000)

    done = upload(session, tmp_path)

    assert (done.uploaded, done.skipped) == (1, 0)
    assert len(done.refused) == 1
    assert "large.jpg: it has 300,000,000 bytes, and a photo has 5,000 at most" in done.refused[0]
