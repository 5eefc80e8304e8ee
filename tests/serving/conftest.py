"""A server in this process, on a tiny model and the sample world's detector."""

import contextlib
import io
import threading
import time
import uuid

import httpx
import pytest
from flask import Flask, request
from PIL import Image

from carpipe.config import ServingConfig
from carpipe.sample import draw_world, parse_boxes, read_truth
from carpipe.serving import refusals
from carpipe.serving.bodies import Limit
from carpipe.serving.connections import CLIENT
from carpipe.serving.listening import listening
from carpipe.serving.server import running
from carpipe.serving.workers import BusyError
from carpipe.steps.session import open_session
from tests.conftest import make_config
from tests.serving.wire import HUGE
from tests.tiny import Tiny, crop_files, go_live, publish


@contextlib.contextmanager
def serving(session, cache, **settings):
    """The API on a free port, for as long as the block runs; yields a client for it."""
    here = {"host": "127.0.0.1", "port": 0, "poll_s": 0.2, "cache": str(cache), **settings}
    config = session.config.model_copy(update={"serving": session.config.serving.model_copy(update=here)})
    with running(config, session.store) as server:
        thread = threading.Thread(target=run, args=(server,), daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.effective_port}"
        with httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
            yield client
    thread.join(10)


def run(server):
    # It is closed from another thread, and then finds its sockets gone.
    with contextlib.suppress(OSError, ValueError):
        server.run()


def ready(client):
    """Wait until there is a model; the first import of torch takes its time."""
    wait_for(lambda: client.get("/healthz").status_code == 200)
    return client


def wait_for(condition, seconds=90.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError("waited in vain")
        time.sleep(0.05)
    return found


def post(client, *photos, url="/predict", name="photo.jpg"):
    return client.post(url, files=[("file", (name, photo)) for photo in photos])


def encode(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """(photo, box of its car) of drawn photos that show one whole car each."""
    world = draw_world(tmp_path_factory.mktemp("drawn"), seed=3, listings=6)
    rows = [row for row in read_truth(world.truth) if row.label == "auto" and row.kind == "original"]
    boxes = {row.key: parse_boxes(row.boxes) for row in rows}
    return [((world.raw / key).read_bytes(), found[0]) for key, found in boxes.items() if len(found) == 1]


@pytest.fixture(scope="session")
def photos(drawn):
    return [photo for photo, _ in drawn]


@pytest.fixture(scope="session")
def tiny():
    return Tiny().files() | crop_files(image_size=320)


@pytest.fixture
def live(session, tiny):
    return go_live(session, publish(session, tiny))


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="package")
def shared(s3):
    """The session of a server that many tests share."""
    return open_session(make_config(f"s3://{s3.bucket}/{uuid.uuid4().hex[:12]}"))


@pytest.fixture(scope="package")
def api(shared, tiny, cache):
    """A client of that server."""
    go_live(shared, publish(shared, tiny))
    with serving(shared, cache) as client:
        yield ready(client)


@pytest.fixture(scope="session")
def blank():
    return encode(Image.new("RGB", (90, 70), (200, 30, 10)))


@pytest.fixture
def release():
    return threading.Event()


@pytest.fixture
def up(release):
    """Starts a server of given settings that says who asks; `/slow` waits for `release`."""
    app = Flask(__name__)

    @app.route("/", methods=["GET", "POST"])
    def who():
        request.get_data()
        return request.environ[CLIENT]

    @app.get("/large")
    def large():
        return "x" * 50_000

    @app.get("/huge")
    def huge():
        return "x" * HUGE

    @app.get("/slow")
    def slow():
        release.wait(30)
        return "done"

    @app.get("/busy")
    def busy():
        raise BusyError("Busy.")

    refusals.add_refusals(app, ServingConfig())
    with contextlib.ExitStack() as stack:

        def start(**settings):
            """Returns the port; the server is the last of `start.servers`."""
            known = ServingConfig(**settings)
            server = stack.enter_context(
                listening(
                    app, known, port=0, setting="serving.port", threads=8, limits={"/": Limit(10_000, "Too large.")}
                )
            )
            start.servers.append(server)
            threading.Thread(target=run, args=(server,), daemon=True).start()
            return int(server.effective_port)

        start.servers = []
        yield start
        release.set()


@contextlib.contextmanager
def taking_bodies(**settings):
    """A server where 20 MB may be posted at `/`."""
    app = Flask(__name__)
    app.post("/")(lambda: str(len(request.get_data())))
    limits = {"/": Limit(20_000_000, "Too large.")}
    known = ServingConfig(max_request_mb=1, **settings)
    with listening(app, known, port=0, setting="serving.port", threads=4, limits=limits) as server:
        threading.Thread(target=run, args=(server,), daemon=True).start()
        yield server
