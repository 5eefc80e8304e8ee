"""Progress bars on a real terminal, and none where nobody would see them."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from uuid import uuid4

import pytest

from tests.plugins import bucket

COMMAND = "import sys; from carpipe.cli import main; sys.exit(main(sys.argv[1:]))"
WITHOUT_RICH = f"import sys; sys.modules['rich'] = None; {COMMAND}"
SAID = "2 photos uploaded, 0 were there already\n"


@pytest.fixture
def photos(tmp_path):
    for number in (1, 2):
        path = tmp_path / bucket.key(number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bucket.jpeg(number))
    return tmp_path


@pytest.fixture
def environment(s3):
    """The bucket of the test, and a terminal that knows colours."""
    return {**os.environ, "CARPIPE_STORE": f"s3://{s3.bucket}/{uuid4().hex[:12]}", "TERM": "xterm-256color"}


def on_a_terminal(code, *arguments, env):
    """What a command writes to standard output, a pipe, and to standard error, a terminal of 120 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=theirs, env=env
    ) as child:
        os.close(theirs)
        written = b"".join(iter(lambda: read(ours), b""))
        os.close(ours)
        assert child.wait() == 0, written
        return child.stdout.read().decode(), written.decode()


def read(terminal):
    try:
        return os.read(terminal, 65536)
    except OSError:  # as Linux says that nobody writes any more
        return b""


def test_a_bar_goes_to_the_terminal_and_the_result_to_standard_output(photos, environment):
    out, shown = on_a_terminal(COMMAND, "upload", str(photos), env=environment)
    assert out == SAID
    assert "of 2 photos" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor is back"


@pytest.mark.parametrize(("code", "options"), [(COMMAND, ["--quiet"]), (WITHOUT_RICH, [])])
def test_none_where_it_shall_be_quiet_and_where_rich_is_not_installed(photos, environment, code, options):
    out, shown = on_a_terminal(code, *options, "upload", str(photos), env=environment)
    assert (out, shown) == (SAID, "")


def test_none_without_a_terminal(photos, environment):
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "upload", str(photos)], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, SAID, "")


LOGS = """
import logging, sys, time
from carpipe.cli.bars import bars
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
log, shown = logging.getLogger("carpipe"), bars()
with shown.bar("[b]outer", total=2) as outer, shown.bar("inner"):
    log.info("stages/%s", "x" * 150)
    outer.at(1, what="other")
    time.sleep(0.3)
log.info("after")
assert logging.getLogger().handlers[0].stream is sys.stderr is sys.__stderr__
"""


def test_the_log_is_written_above_the_bars_and_no_line_of_it_is_broken(environment):
    _, shown = on_a_terminal(LOGS, env=environment)
    assert f"stages/{'x' * 150}\r\n" in shown
    assert shown.endswith("after\r\n")
    for name in ("[b]outer", "other", "inner"):
        assert name in shown
