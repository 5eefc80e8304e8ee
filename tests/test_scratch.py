"""Scratch folders are ours alone, and nothing in the project writes to a place that others can foresee."""

import ast
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from carpipe import scratch
from carpipe.errors import InputError

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("carpipe", "dags", "plugins", "tools") for path in (ROOT / folder).rglob("*.py"))
# Settings of containers, where nobody else has an account.
COMMON = ("/tmp", "/var/tmp", "/dev/shm")
# Of the ways to temporary files, those that make a new name and close it to others.
GOOD = {"TemporaryDirectory", "mkdtemp", "mkstemp", "NamedTemporaryFile", "TemporaryFile", "SpooledTemporaryFile"}


@pytest.fixture
def common(tmp_path, monkeypatch):
    """A folder for temporary files that everybody may write to."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_private_folder_is_its_owners_alone_and_stays(common):
    before = os.umask(0)
    try:
        made = scratch.private_folder("x")
    finally:
        os.umask(before)
    assert made == common / f"carpipe-{os.geteuid()}" / "x"
    assert {made.stat().st_mode & 0o777, made.parent.stat().st_mode & 0o777} == {0o700}
    (made / "kept").touch()
    assert (scratch.private_folder("x") / "kept").exists()


@pytest.mark.parametrize("level", ["", "x"])
@pytest.mark.parametrize("kind", ["link", "file", "open"])
def test_what_others_may_have_put_there_is_refused(common, kind, level):
    planted = common / f"carpipe-{os.geteuid()}" / level
    planted.parent.mkdir(mode=0o700, exist_ok=True)
    if kind == "link":
        (common / "elsewhere").mkdir(mode=0o700)
        planted.symlink_to(common / "elsewhere")
    elif kind == "file":
        planted.touch(0o600)
    else:
        planted.mkdir()
        planted.chmod(0o770)
    with pytest.raises(InputError, match=r"alone, but is .* set TMPDIR"):
        scratch.private_folder("x")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has two accounts at hand")
@pytest.mark.parametrize("plant", ["folder.mkdir(0o777)", "folder.symlink_to('/root')"])
def test_what_another_account_has_planted_is_refused(monkeypatch, plant):
    """What used to happen: root wrote its settings through somebody's link over a file of its own."""
    with tempfile.TemporaryDirectory() as reachable:
        Path(reachable).chmod(0o1777)
        monkeypatch.setattr(tempfile, "tempdir", reachable)
        code = f"import os, pathlib; os.setuid(65534); folder = pathlib.Path({reachable + '/carpipe-0'!r}); {plant}"
        subprocess.run([sys.executable, "-c", code], check=True)
        with pytest.raises(InputError, match=r"belongs to the user 65534|is a link"):
            scratch.private_folder("ultralytics")


@pytest.fixture
def for_servers():
    """As `/var/tmp`: everybody may reach it, and write to it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o1777)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes folders of another account")
def test_a_servers_folder_is_its_users_alone_and_begins_empty(for_servers):
    folder = for_servers / "carpipe-x"
    for _ in range(2):
        scratch.folder_for("nobody", folder)
        assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (65534, 0o700)
        assert list(folder.iterdir()) == []
        (folder / "of the last time").touch()
    scratch.remove_folder_of("nobody", folder)
    scratch.remove_folder_of("nobody", folder)
    assert list(for_servers.iterdir()) == []


PLANTED = {
    "a link": "folder.symlink_to(kept.parent)",
    "a link to nothing": "folder.symlink_to('/nowhere')",
    "a file": "folder.touch(0o600)",
    "a folder": "folder.mkdir(0o700); (folder / 'x').touch()",
    "an open folder of the server's user": "folder.mkdir(); folder.chmod(0o777)",
}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has other accounts at hand")
@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_what_another_account_has_put_in_a_servers_place_is_refused_and_left(for_servers, monkeypatch, plant):
    from carpipe.local import debian

    monkeypatch.setattr(scratch, "FOR_OTHER_USERS", for_servers)
    monkeypatch.setattr(debian, "USER", "nobody")
    kept = for_servers / "theirs" / "kept"
    kept.parent.mkdir(mode=0o700)
    kept.touch()
    (folder,) = [place for place in debian.data_folders(Path("/nowhere/none")) if place.parent == for_servers]
    owner = 65534 if "open" in plant or "777" in plant else 65533
    places = (str(folder), str(kept))
    code = f"import os, pathlib; os.setuid({owner}); folder, kept = map(pathlib.Path, {places!r}); {plant}"
    subprocess.run([sys.executable, "-c", code], check=True)
    before = folder.lstat()

    for refused in (lambda: debian.remove_data(Path("/nowhere/none")), lambda: scratch.folder_for("nobody", folder)):
        with pytest.raises(InputError, match=r"should be a folder of the user nobody alone, but (is|belongs)"):
            refused()

    assert (folder.lstat().st_ino, folder.lstat().st_uid) == (before.st_ino, before.st_uid)
    assert kept.exists()


def test_ultralytics_keeps_its_settings_there(common):
    """In a process of its own: the variable is set once."""
    code = "from carpipe.pictures.detection.ultralytics_runtime import import_ultralytics; import_ultralytics()"
    env = {name: value for name, value in os.environ.items() if name != "YOLO_CONFIG_DIR"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env={**env, "TMPDIR": str(common)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in common.iterdir()] == [f"carpipe-{os.geteuid()}"]
    assert list((common / f"carpipe-{os.geteuid()}" / "ultralytics").rglob("settings.json"))
    (common / f"carpipe-{os.geteuid()}").chmod(0o755)
    done = subprocess.run(command, env={**env, "TMPDIR": str(common)}, capture_output=True, text=True, check=False)
    assert "is open to others (mode 755)" in done.stderr


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_writes_where_others_foresee_it(path):
    if path == Path(scratch.__file__):
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not node.value.startswith(COMMON), f"line {node.lineno}: {node.value!r}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "tempfile":
            assert node.attr in GOOD, f"line {node.lineno}: tempfile.{node.attr}; use carpipe.scratch"
        if isinstance(node, ast.ImportFrom) and node.module == "tempfile":
            assert {name.name for name in node.names} <= GOOD, f"line {node.lineno}"


def test_every_scratch_folder_is_in_the_docs():
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    table = text.partition("## Which places does carpipe write to?")[2].partition("\n## ")[0]
    prefixes = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in GOOD:
                given = {word.arg: word.value for word in node.keywords}
                if "dir" not in given:  # else beside what it is for
                    prefixes |= {given["prefix"].value} if "prefix" in given else set()
    assert len(prefixes) > 5
    assert {prefix for prefix in prefixes if f"`{prefix}" not in table and "carpipe-" not in prefix} == set()
    assert "`carpipe-<name>-<random>`" in table


def test_ports_whose_sockets_seaweedfs_could_not_replace_are_known(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "_OF_SEAWEEDFS", tmp_path)
    (tmp_path / "seaweedfs-s3-grpc-12001.sock").touch()
    (tmp_path / "seaweedfs-s3-grpc-12002.sock").mkdir()
    for odd in ("seaweedfs-s3-grpc-x.sock", "seaweedfs-s3-grpc-.sock", "seaweedfs-s3-grpc-99999999.sock"):
        (tmp_path / odd).mkdir()
    assert scratch.blocked_seaweedfs_ports() == {12002}
    ours = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: ours + 1)
    assert scratch.blocked_seaweedfs_ports() == {12001, 12002}


def test_only_sockets_that_can_be_removed_are(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "_OF_SEAWEEDFS", tmp_path)
    (tmp_path / "seaweedfs-a-grpc-12001.sock").mkdir()
    (tmp_path / "seaweedfs-b-grpc-12001.sock").touch()
    scratch.remove_seaweedfs_sockets(12001)
    assert [path.name for path in tmp_path.iterdir()] == ["seaweedfs-a-grpc-12001.sock"]
