"""A checkpoint is taken from a bucket that others may write: nothing of it lands outside its folder."""

import io
import tarfile

import pytest

from carpipe.errors import InputError, UnavailableError
from carpipe.training import checkpoint

NAMES = ("last.keras", "model.keras", "progress.json")


def archive(path, members):
    with tarfile.open(path, "w") as file:
        for name, kind, link, data in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, link, len(data)
            file.addfile(member, io.BytesIO(data))
    return path


def plain(name, data=b"x"):
    return name, tarfile.REGTYPE, "", data


def escaping():
    """Links in folders with long names: Python's filter `data` took them for harmless (CVE-2025-4517)."""
    members, path, long = [], "", "d" * 247
    for step in "abcdefghijklmnop":
        members += [(f"{path}{long}", tarfile.DIRTYPE, "", b""), (f"{path}{step}", tarfile.SYMTYPE, long, b"")]
        path += f"{long}/"
    link = "/".join("abcdefghijklmnop") + "/" + "l" * 254
    members += [(link, tarfile.SYMTYPE, "../" * 16, b""), ("escape", tarfile.SYMTYPE, f"{link}/..", b"")]
    return [*members, plain("escape/owned.py"), *map(plain, NAMES)]


ATTACKS = {
    "leaves its folder": escaping(),
    "a link to a file of ours": [("last.keras", tarfile.SYMTYPE, "../ours", b""), *map(plain, NAMES[1:])],
    "a hard link": [("progress.json", tarfile.LNKTYPE, "../ours", b""), *map(plain, NAMES[:2])],
    "a device": [("model.keras", tarfile.CHRTYPE, "", b""), plain(NAMES[0]), plain(NAMES[2])],
    "absolute names": [plain("/tmp/carpipe-owned"), *map(plain, NAMES)],
    "less than all": [plain("last.keras")],
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_lands_outside_the_folder_of_a_training(tmp_path, attack):
    folder = tmp_path / "home" / "training"
    folder.mkdir(parents=True)
    (tmp_path / "home" / "ours").write_text("ours")
    path = archive(tmp_path / "checkpoint.tar", ATTACKS[attack])

    with pytest.raises(InputError, match=r"checkpoint\.tar cannot be gone on from"):
        checkpoint.load(path, folder)

    assert sorted(found.name for found in (tmp_path / "home").iterdir()) == ["ours", "training"]
    assert {found.name for found in folder.iterdir()} <= {*NAMES}
    assert not any(found.is_symlink() for found in folder.iterdir())
    assert (tmp_path / "home" / "ours").read_text() == "ours"


@pytest.mark.parametrize(
    "progress",
    [b"[" * 100_000, b"{}", b"[]", b'{"version": 1, "phase": 1}' + b" " * 10, b'{"version": 1, "odd": 1}'],
    ids=["deep", "empty", "a list", "no network", "another field"],
)
def test_what_cannot_be_read_is_an_error_of_its_own(tmp_path, progress):
    """The step then starts the training anew; any other error would come back at every retry."""
    path = archive(tmp_path / "checkpoint.tar", [plain(name, progress) for name in NAMES])

    with pytest.raises(InputError, match="cannot be gone on from"):
        checkpoint.load(path, tmp_path)


def test_a_file_with_holes_is_not_blown_up(tmp_path):
    """A sparse member of a small archive may say that it is of any size."""
    path = archive(tmp_path / "checkpoint.tar", [plain(name, b"x" * 512) for name in NAMES])
    data = bytearray(path.read_bytes())
    header = tarfile.TarInfo("last.keras")
    header.type, header.size = tarfile.GNUTYPE_SPARSE, 512
    block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    block[386:398], block[398:410] = b"%011o\0" % 0, b"%011o\0" % 512  # one piece, at the beginning
    block[483:495] = b"%011o\0" % (1 << 32)  # of 4 GB
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    data[:512] = block
    path.write_bytes(data)

    with pytest.raises(InputError, match="no plain file"):
        checkpoint.load(path, tmp_path)
    assert not (tmp_path / "last.keras").exists()


@pytest.mark.parametrize("packing", ["gz", "bz2", "xz"])
def test_what_is_compressed_is_not_unpacked(tmp_path, packing, monkeypatch):
    """Some MB stand for GBs of names, which are read before a size is looked at."""
    path = tmp_path / "checkpoint.tar"
    with tarfile.open(path, f"w:{packing}") as file:
        for name in NAMES:
            file.addfile(tarfile.TarInfo(name))

    monkeypatch.setattr(tarfile.TarFile, "getmember", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(InputError, match="cannot be gone on from"):
        checkpoint.load(path, tmp_path)


def test_texts_of_a_checkpoint_do_not_command_the_log(tmp_path):
    progress = b'{"version": 1, "fine\\nFORGED\\u001b[2J%s": 1}' % (b"x" * 10_000)
    path = archive(tmp_path / "checkpoint.tar", [plain(name, progress) for name in NAMES])

    with pytest.raises(InputError) as said:
        checkpoint.load(path, tmp_path)
    assert str(said.value).isprintable()
    assert len(str(said.value)) < 500


def test_a_full_disk_is_no_bad_checkpoint(tmp_path, monkeypatch):
    """The training would start anew, on a full disk. /dev/full is one, wherever it is written to."""
    path = archive(tmp_path / "checkpoint.tar", [plain(name, b"x" * 100_000) for name in NAMES])
    (tmp_path / "last.keras").symlink_to("/dev/full")

    with pytest.raises(UnavailableError, match="The disk is full"):
        checkpoint.load(path, tmp_path)
