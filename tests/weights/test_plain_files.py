"""A cache that others may write: what is no plain file is not read, and never waited for."""

import errno
import os

import pytest

from carpipe.config import StoreConfig
from carpipe.errors import CarpipeError, InputError
from carpipe.storage import Store
from carpipe.weights import plain_files
from carpipe.weights.client import pull


def as_pipe(path, _):
    os.mkfifo(path)


def as_device(path, _):
    path.symlink_to("/dev/zero")


def as_link(path, elsewhere):
    path.symlink_to(elsewhere)


def as_folder(path, _):
    path.mkdir()


def as_long(path, _):
    with path.open("wb") as file:
        file.truncate(2**40)


ODD = {"a pipe": as_pipe, "a device": as_device, "a link": as_link, "a folder": as_folder, "too long": as_long}
NAMES = ["model.bin", "labels.json", "committed.json", "manifest.json", "classifier.json"]


@pytest.fixture
def cache(session, model, tmp_path):
    pull(session.store, cache=tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def elsewhere(tmp_path):
    path = tmp_path / "elsewhere"
    path.write_bytes(b"somebody's")
    return path


def offline(session, cache):
    away = Store(StoreConfig(url=session.store.url, endpoint="http://127.0.0.1:9", max_retries=0, timeout_s=2))
    return pull(away, cache=cache, offline_ok=True)


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_what_is_no_plain_file_is_not_read(tmp_path, elsewhere, make):
    path = tmp_path / "file"
    make(path, elsewhere)

    with pytest.raises(InputError, match=r"file (is to be a file, and is|has 1,099,511,627,776 bytes).*; remove it\."):
        plain_files.read(path, max_bytes=100)
    assert not plain_files.holds(path, sha256="", max_bytes=100)


def test_a_file_is_read_up_to_its_limit(elsewhere, tmp_path):
    assert plain_files.read(elsewhere, max_bytes=10) == b"somebody's"
    with pytest.raises(InputError, match="has 10 bytes, expected at most 9"):
        plain_files.read(elsewhere, max_bytes=9)
    with pytest.raises(FileNotFoundError):
        plain_files.read(tmp_path / "none", max_bytes=9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("make", [as_pipe, as_device, as_link, as_long])
def test_a_cache_with_odd_files_is_made_good(session, cache, elsewhere, make, name):
    [path] = cache.rglob(name)
    whole = path.read_bytes()
    path.unlink()
    make(path, elsewhere)

    pull(session.store, cache=cache)

    assert (path.is_symlink(), path.read_bytes()) == (False, whole)
    assert elsewhere.read_bytes() == b"somebody's"
    assert offline(session, cache).generation == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_in_the_place_of_a_file_is_said(session, cache, name):
    [path] = cache.rglob(name)
    path.unlink()
    path.mkdir()

    with pytest.raises(InputError, match=f"{name} is to be a file, and is a folder; remove it"):
        pull(session.store, cache=cache)
    assert not [*cache.rglob(".partial-*")]


@pytest.mark.parametrize("depth", range(3))
def test_a_link_in_the_place_of_a_folder_is_said(session, cache, tmp_path, depth):
    [found] = cache.rglob("model.bin")
    folder = found.parents[depth]
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")

    with pytest.raises(InputError, match="is to be a folder, and is a link; remove it"):
        pull(session.store, cache=cache)


@pytest.mark.parametrize("depth", range(3))
def test_a_file_in_the_place_of_a_folder_is_said(session, cache, tmp_path, depth):
    [found] = cache.rglob("model.bin")
    folder = found.parents[depth]
    folder.rename(tmp_path / "moved")
    folder.write_bytes(b"x")

    for use in (lambda: plain_files.read(found, max_bytes=9), lambda: plain_files.write(found, b"x", below=cache)):
        with pytest.raises(InputError, match=r"cannot be read: Not a dir|is to be a folder, and is a file.*remove it"):
            use()
    assert not plain_files.holds(found, sha256="", max_bytes=9)
    with pytest.raises(InputError, match="is to be a folder, and is a file"):
        pull(session.store, cache=cache)
    with pytest.raises(CarpipeError):
        offline(session, cache)


def test_a_file_of_another_account_is_said(tmp_path, monkeypatch):
    """Root may read all, so the system's answer is made up."""
    path = tmp_path / "file"
    path.write_bytes(b"x")

    def denied(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", denied)
        with pytest.raises(InputError, match="file cannot be read: Permission denied"):
            plain_files.read(path, max_bytes=9)
        assert not plain_files.holds(path, sha256="", max_bytes=9)
    monkeypatch.setattr("pathlib.Path.replace", denied)
    with pytest.raises(PermissionError):
        plain_files.write(path, b"x", below=tmp_path)
    assert [*tmp_path.iterdir()] == [path]


def test_the_cache_itself_may_be_a_link(session, cache, tmp_path):
    (tmp_path / "linked").symlink_to(cache)

    assert pull(session.store, cache=tmp_path / "linked").folder.is_relative_to(tmp_path / "linked")
