"""A photo that kills or hangs its decoder costs itself only, and no process stays behind."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from carpipe.config import CleanConfig
from carpipe.errors import CarpipeError, UnavailableError
from carpipe.pictures import isolation
from carpipe.pictures.isolation import CHUNK_BYTES, CHUNK_ITEMS, Death, Isolated, in_chunks
from carpipe.stages.clean import clean
from tests.stages.test_clean import photo, rows

# What the child runs in place of the decoder: some bytes do to it what hostile photos do to decoders.
JUDGE = """
import ctypes, json, os, sys, time
from carpipe.stages.clean_photo import clean_photo

def judge(data, settings):
    if data == b"segfault":
        ctypes.string_at(0)
    if data == b"sleep":
        time.sleep(600)
    if data == b"spin":
        ctypes.CDLL(None).usleep(600_000_000)  # inside C, where Python sees no signal
    if data == b"burn":
        with open("burnt", "a") as burnt:
            burnt.write("x")
        while True:
            pass
    if data == b"nap":
        time.sleep(1.0)  # as on a machine that is busy: it takes long and spends little
        return b"{}", b"", b"", b""
    if data == b"memory":
        blobs = [bytearray(50_000_000) for _ in range(1000)]
    if data == b"stop":
        os.kill(os.getpid(), 19)  # SIGSTOP: no timer runs out in a process that does not run
    if data == b"exit":
        os._exit(0)
    if data == b"talk":
        print("a library speaks", flush=True)
        os.write(1, b"to the standard output")
    if data == b"outside":
        os.kill(os.getpid(), 9)  # as the kernel does where memory has run out
    if data == b"once" and not os.path.exists("once"):
        open("once", "w").close()
        os.kill(os.getpid(), 9)
    if data == b"pid":
        return b'{"format": "%d"}' % os.getpid(), b"", b"", b""
    if data == b"environment":
        return json.dumps(dict(os.environ)).encode(), b"", b"", b""
    if data in (b"talk", b"once"):
        return b"{}", b"", b"", b""
    return clean_photo(data, settings)
"""


@pytest.fixture
def judge(tmp_path, monkeypatch):
    (tmp_path / "hostile.py").write_text(JUDGE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return "hostile:judge"


def children():
    """Processes whose parent is this one, as the kernel sees it."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # a thread may end meanwhile
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("poison", ["segfault", "sleep", "spin", "memory", "exit", "burn"])
def test_poison_is_dropped_and_the_rest_goes_through(judge, poison, caplog, monkeypatch):
    # One that computes is to be ended by what it has spent, also where others leave it little of the machine.
    monkeypatch.setattr(isolation, "PATIENCE", 60 if poison == "burn" else 2)
    before = children()
    files = [(f"{i}.jpg", photo(seed=i)) for i in range(6)]
    files[2:2] = [("bad.jpg", poison.encode())]
    # Some machines take a second for so much memory.
    timeout_s = 10 if poison == "memory" else 0.7
    config = CleanConfig(timeout_s=timeout_s, memory_mb=500, max_pixels=1_000_000)

    cleaned = clean(files, config=config, judge=judge)

    assert {row["key"]: row["reason"] for row in rows(cleaned) if row["reason"]} == {"bad.jpg": "poison"}
    assert cleaned.results["key"].tolist() == [key for key, _ in files]
    assert len(cleaned.thumbnails) == 6
    assert "bad.jpg" in caplog.text
    assert cleaned.over_time == ({"bad.jpg"} if poison == "burn" else set())
    assert children() <= before


def test_a_process_that_stands_still_is_ended_from_outside(judge, monkeypatch):
    monkeypatch.setattr(isolation, "START_S", 4)
    monkeypatch.setattr(isolation, "GRACE_S", 1)
    before = children()

    with Isolated(judge, "{}", timeout_s=0.1, memory_mb=1024) as child:
        assert child.run([b"stop"]) == [Death.KILLED]
        assert child.run([b"talk"]) == [(b"{}", b"", b"", b"")]

    assert children() <= before


def test_what_is_over_its_time_is_not_tried_again(judge):
    files = [("a", b"pid"), ("b", b"burn"), ("c", b"burn"), ("d", b"pid"), ("e", b"exit"), ("f", b"pid")]

    cleaned = clean(files, config=CleanConfig(timeout_s=0.3), judge=judge)

    assert Path("burnt").read_text() == "xx"
    assert {row["key"]: row["reason"] for row in rows(cleaned)} == {
        "a": None, "b": "poison", "c": "poison", "d": None, "e": "poison", "f": None,
    }  # fmt: skip
    assert cleaned.over_time == {"b", "c"}


def test_a_busy_machine_makes_no_poison(judge):
    cleaned = clean([("a", b"nap"), ("b", photo())], config=CleanConfig(timeout_s=0.7), judge=judge)

    assert cleaned.results["reason"].isna().all()
    assert not cleaned.over_time


def test_a_child_is_of_low_priority_where_that_is_wanted(judge):
    with Isolated(judge, "{}", timeout_s=5, memory_mb=1024, niceness=19) as child:
        pid = int(json.loads(child.run([b"pid"])[0][0])["format"])
        assert os.getpriority(os.PRIO_PROCESS, pid) == 19


def test_settings_may_come_with_an_item():
    settings = json.dumps({"max_pixels": 100, "max_damage": 0.0, "enough": 0, "most_s": 0})
    with Isolated("carpipe.pictures.look:look", settings, timeout_s=5, memory_mb=1024) as child:
        assert json.loads(child.once(photo())[0])["reason"] == "bomb"
        assert json.loads(child.once(photo(), settings.replace("100", "1000000"))[0])["size"] == [320, 200]


def test_every_photo_of_a_chunk_may_be_poison(judge):
    cleaned = clean([(str(i), b"exit") for i in range(3)], config=CleanConfig(), judge=judge)

    assert cleaned.results["reason"].tolist() == ["poison"] * 3


def test_a_photo_that_only_met_a_dying_process_is_not_poison(judge):
    cleaned = clean([("a", photo()), ("b", b"once"), ("c", photo())], config=CleanConfig(), judge=judge)

    assert cleaned.results["reason"].isna().all()


def test_a_photo_that_is_alone_gets_a_second_chance_too(judge):
    cleaned = clean([("a", b"once")], config=CleanConfig(), judge=judge)

    assert cleaned.results["reason"].isna().all()


@pytest.mark.parametrize("files", [[("a", b"outside")], [("a", b"pid"), ("b", b"outside"), ("c", b"pid")]])
def test_a_photo_whose_process_others_end_again_and_again_is_not_poison(judge, files):
    said = (
        r"killed twice from outside\. Most often memory has run out.* It was looking at '[ab]'\. If it is always this"
    )
    with pytest.raises(UnavailableError, match=said):
        clean(files, config=CleanConfig(), judge=judge)


def test_what_libraries_print_does_not_mix_with_the_answers(judge, capfd):
    cleaned = clean([("a", b"talk"), ("b", photo())], config=CleanConfig(), judge=judge)

    assert cleaned.results["reason"].isna().all()
    assert "a library speaks" in capfd.readouterr().err


def test_one_process_does_all_healthy_photos(judge):
    cleaned = clean(((str(i), b"pid") for i in range(3 * CHUNK_ITEMS)), config=CleanConfig(), judge=judge)

    assert cleaned.results["format"].nunique() == 1


def test_no_secret_is_in_the_environment_of_the_process(judge, monkeypatch):
    for name in ("AIRFLOW__API_AUTH__JWT_SECRET", "AWS_SECRET_ACCESS_KEY", "AIRFLOW_CONN_AWS_DEFAULT"):
        monkeypatch.setenv(name, "hidden")
    monkeypatch.setenv("CARPIPE_LOCAL", "/the/service")

    with Isolated(judge, "{}", timeout_s=5, memory_mb=1024) as child:
        environment = json.loads(child.run([b"environment"])[0][0])

    assert "hidden" not in environment.values()
    assert environment["CARPIPE_LOCAL"] == "/the/service", "it can be found where the service is stopped"
    assert environment["OMP_NUM_THREADS"] == "1"


def test_a_child_that_cannot_start_is_no_photo_s_fault():
    with pytest.raises(CarpipeError, match="ended with 1 before it saw one"):
        clean([("a.jpg", photo())], config=CleanConfig(), judge="no_such_module:judge")


def test_no_process_stays_when_the_parent_raises(judge):
    before = children()

    def files():
        yield "a.jpg", photo()
        for i in range(CHUNK_ITEMS):
            yield f"{i}.jpg", b"pid"
        assert children() > before
        raise KeyError("the store went away")

    with pytest.raises(KeyError):
        clean(files(), config=CleanConfig(), judge=judge)

    assert children() <= before


@pytest.mark.parametrize("item", ["pid", "sleep"])
def test_no_process_stays_when_the_parent_is_killed(judge, item):
    """Not even one that hangs: it ends when its photo's time is over."""
    script = f"""
import time
from carpipe.pictures.isolation import Isolated
with Isolated("{judge}", "{{}}", timeout_s=1.5, wall_s=1.5, memory_mb=1024) as child:
    print(child.run([b"pid"])[0][0].decode(), flush=True)
    child.run([b"{item}"])
    time.sleep(600)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment)
    child = int(json.loads(parent.stdout.readline())["format"])
    assert alive(child)

    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()

    deadline = time.monotonic() + 10
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(child)


def test_the_child_imports_no_table_and_no_model():
    script = "import sys, carpipe.pictures.isolation_child, carpipe.stages.clean_photo; print(*sys.modules)"
    loaded = set(subprocess.check_output([sys.executable, "-c", script], text=True).split())

    assert "PIL" in loaded
    assert not loaded & {"pandas", "pyarrow", "pydantic", "obstore", "multiprocessing", "tensorflow", "torch"}


def test_chunks_are_small_in_number_and_bytes():
    large, small = bytes(CHUNK_BYTES // 2 + 1), b"x"
    items = [(i, large) for i in range(3)] + [(i, small) for i in range(3 * CHUNK_ITEMS)]

    chunks = list(in_chunks(iter(items)))

    assert [item for chunk in chunks for item in chunk] == items
    assert [len(chunk) for chunk in chunks] == [1, 1, CHUNK_ITEMS, CHUNK_ITEMS, CHUNK_ITEMS, 1]


def test_an_empty_partition_starts_nothing():
    with Isolated("no_such_module:judge", "{}", timeout_s=1, memory_mb=500):
        pass
    assert clean([("gone", None)], config=CleanConfig(), judge="no_such_module:judge").results["reason"][0] == "missing"
    assert clean([], config=CleanConfig()).results.empty
