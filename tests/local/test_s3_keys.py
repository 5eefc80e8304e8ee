"""The S3 server's inner ports: nobody without its certificate reads, writes or deletes there, no web page either."""

import contextlib
import os
import shutil
import ssl
import subprocess
import sys
import threading
import time
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import obstore
import psutil
import pytest

from carpipe import scratch
from carpipe.local import processes, s3_keys, s3server, state
from carpipe.local.compose import read_services
from carpipe.local.env_file import make_env, read_env
from carpipe.local.ports import LOOPBACK, free_ports
from tests.chromium import open_chromium, until, visit, where_it_is
from tests.deploy.test_compose import EXAMPLE, TEXT
from tests.local.test_s3server import client

OBJECT = "channels/classifier/production.json"
# What SeaweedFS's parts do for everybody when it is left as it comes: read, write, delete, tell, hand out keys.
ASKED = [
    ("GET", f"/buckets/carpipe/{OBJECT}"),
    ("POST", "/buckets/carpipe/channels/planted"),
    ("PUT", "/buckets/carpipe/channels/planted"),
    ("DELETE", f"/buckets/carpipe/{OBJECT}"),
    ("GET", "/col/delete?collection=carpipe"),
    ("GET", "/dir/assign"),
    ("GET", "/dir/lookup?volumeId=1"),
    ("GET", "/dir/status"),
    ("POST", "/submit"),
    ("GET", "/status"),
    ("GET", "/metrics"),
    ("GET", "/"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    home = tmp_path_factory.mktemp("s3")
    started = s3server.start_s3(home)
    obstore.put(client(started.settings), OBJECT, b"{}")
    yield started
    started.stop()


def ports(pid):
    """All that a process listens on, by TCP."""
    listening = [one for one in psutil.Process(pid).net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    return {one.laddr.port: one.laddr.ip for one in listening}


def inner_ports(server):
    deadline = time.monotonic() + 20
    while len(found := ports(server.pid)) < 10 and time.monotonic() < deadline:
        time.sleep(0.1)  # the admin's begins a little after S3 answers
    assert set(found.values()) == {LOOPBACK}
    del found[int(server.settings.endpoint.rpartition(":")[2])]
    assert len(found) == 9  # S3's gRPC; HTTP and gRPC of master, volume, filer, admin
    return sorted(found)


def objects(settings):
    return sorted(one["path"] for batch in obstore.list(client(settings)) for one in batch)


def answer(scheme, port, method, path):
    """The status, or None where there is no answer."""
    hostile = {"Host": "evil.example", "Origin": "http://evil.example"}
    url, files = f"{scheme}://{LOOPBACK}:{port}{path}", {"file": ("x", b"planted")} if method != "GET" else None
    try:
        return httpx.request(method, url, files=files, headers=hostile, verify=False, trust_env=False).status_code
    except httpx.TransportError:
        return None


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_inner_port_answers_who_has_no_certificate(server, scheme):
    for port in inner_ports(server):
        given = {answer(scheme, port, method, path) for method, path in ASKED}
        # Go's servers answer plain HTTP on a TLS port by 400 and hang up.
        assert given <= {None, 400}, port
    assert objects(server.settings) == [OBJECT]


def test_another_certificate_is_as_good_as_none(server, tmp_path):
    s3_keys.write_keys(tmp_path)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(tmp_path / s3_keys.CERTIFICATE, tmp_path / s3_keys.KEY)
    with httpx.Client(verify=context, trust_env=False) as somebody:
        for port in inner_ports(server):
            with pytest.raises(httpx.TransportError):
                somebody.get(f"https://{LOOPBACK}:{port}/")


def test_the_servers_own_certificate_is_what_opens_them(server):
    keys = server.home / "s3" / s3server.KEYS
    context = ssl.create_default_context(cafile=keys / s3_keys.CERTIFICATE)
    context.load_cert_chain(keys / s3_keys.CERTIFICATE, keys / s3_keys.KEY)
    with httpx.Client(verify=context, trust_env=False) as itself:
        answers = []
        for port in inner_ports(server):
            with contextlib.suppress(httpx.RemoteProtocolError):  # gRPC's want HTTP/2
                answers.append(itself.get(f"https://{LOOPBACK}:{port}/buckets/carpipe/{OBJECT}").content)
    assert b"{}" in answers, "so the tests above have asked the right ports"


PAGE = """<!doctype html><title>attack</title><script>
const ports = %s, asked = %s;
const post = (port, path) => new Promise((done) => {
  const frame = document.createElement("iframe"), form = document.createElement("form");
  frame.name = "f" + Math.random(); frame.onload = done; document.body.append(frame, form);
  Object.assign(form, {method: "post", enctype: "multipart/form-data", target: frame.name});
  form.action = `http://127.0.0.1:${port}${path}`;
  const file = document.createElement("input"), held = new DataTransfer();
  held.items.add(new File(["planted"], "planted")); file.type = "file"; file.name = "file"; file.files = held.files;
  form.append(file); form.submit(); setTimeout(done, 3000);
});
const picture = (url) => new Promise((done) => {
  const image = new Image(); image.onload = image.onerror = done; image.src = url; setTimeout(done, 3000);
});
const attack = async () => {
  const all = [];
  for (const port of ports) for (const [method, path] of asked) {
    const url = `http://127.0.0.1:${port}${path}`;
    all.push(method === "POST" ? post(port, path) : picture(url));
    for (const mode of ["no-cors", "cors"])
      all.push(fetch(url, {method, mode, body: method === "GET" ? undefined : "planted"}).catch(() => 0));
  }
  await Promise.all(all);
  document.title = "done";
};
window.onload = attack;
</script><body>"""


@contextlib.contextmanager
def web_page(html):
    """A page of another origin; gives its address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer((LOOPBACK, 0), Answer) as site:
        threading.Thread(target=site.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://{LOOPBACK}:{site.server_port}/"
        site.shutdown()


@where_it_is
def test_a_web_page_in_the_users_browser_changes_nothing(server, tmp_path):
    """Forms, pictures and fetches of a page to every port, S3's too."""
    changing = ("/buckets", "/col", "/dir/assign", "/submit")
    asked = [[method, path] for method, path in ASKED if path.startswith(changing)]
    html = PAGE % (sorted(ports(server.pid)), asked)
    with web_page(html) as url, open_chromium(tmp_path) as driver:
        visit(driver, url)
        until(driver, lambda: driver.title == "done")
    assert objects(server.settings) == [OBJECT]
    assert bytes(obstore.get(client(server.settings), OBJECT).bytes()) == b"{}"


def test_no_web_page_may_read_what_s3_answers(server):
    url = f"{server.settings.endpoint}/carpipe/{OBJECT}"
    for method in ("GET", "OPTIONS"):
        headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "GET"}
        found = httpx.request(method, url, headers=headers, trust_env=False)
        assert "access-control-allow-origin" not in found.headers


def test_other_accounts_can_read_neither_the_objects_nor_the_keys(server):
    folder = server.home / "s3"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in (folder / s3server.KEYS).iterdir()} == {0}
    sockets = [path for port in inner_ports(server) for path in scratch.seaweedfs_sockets(port)]
    assert len(sockets) >= 4
    assert {path.stat().st_mode & 0o077 for path in sockets} == {0}


def test_a_home_from_before_starts_with_its_objects_and_is_closed(tmp_path):
    """Also where its server still runs."""
    first = s3server.start_s3(tmp_path)
    try:
        obstore.put(client(first.settings), "raw/kept.jpg", b"photo")
        shutil.rmtree(tmp_path / "s3" / s3server.KEYS)
        (tmp_path / "s3").chmod(0o755)

        again = s3server.start_s3(tmp_path)
        assert (again.reused, again.settings) == (False, first.settings)
        assert bytes(obstore.get(client(again.settings), "raw/kept.jpg").bytes()) == b"photo"
        assert (tmp_path / "s3").stat().st_mode & 0o777 == 0o700
        assert {answer("http", port, "GET", "/dir/status") for port in inner_ports(again)} <= {None, 400}
    finally:
        state.stop_all(tmp_path)


def test_the_compose_file_starts_it_as_closed(tmp_path):
    """Its own command, on loopback and with ports and folders of here."""
    keys, data = tmp_path / 'k"eys é', tmp_path / "data"
    data.mkdir()
    done = subprocess.run([sys.executable, "-m", "carpipe.local.s3_keys", keys], check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    s3, grpc, master, volume, filer, admin = free_ports(6)
    here = {"/opt/airflow/s3-keys": str(keys), "/data": str(data), "0.0.0.0": LOOPBACK, "seaweedfs": "localhost"}
    service = read_services(TEXT, read_env(make_env(EXAMPLE, {})), replace=here)["seaweedfs"]
    given = ["-s3.port", s3, "-s3.port.grpc", grpc, "-master.port", master, "-volume.port", volume]
    more = [*given, "-filer.port", filer, "-admin.port", admin]
    numbers = [f"{name}={number}" for name, number in zip(more[::2], more[1::2], strict=True)]
    command = [s3server._program(), *service.command[1:], *numbers]
    pid = processes.spawn(command, folder=tmp_path, log=tmp_path / "log", env={**os.environ, **service.environment})
    try:
        secret = service.environment["AWS_SECRET_ACCESS_KEY"]
        settings = s3server.S3Settings(
            f"http://{LOOPBACK}:{s3}", "carpipe", service.environment["AWS_ACCESS_KEY_ID"], secret
        )
        running = s3server.S3Server(tmp_path, pid, settings, tmp_path / "log", reused=False)
        s3server._wait(running)
        obstore.put(client(settings), OBJECT, b"x" * 200_000)
        assert len(obstore.get(client(settings), OBJECT).bytes()) == 200_000
        for port in inner_ports(running):
            given = {answer(scheme, port, method, path) for scheme in ("http", "https") for method, path in ASKED}
            assert given <= {None, 400}, port
    finally:
        processes.stop(tmp_path)
        for port in (s3, grpc, master, volume, filer, admin):
            for number in (port, port + 10_000):
                for socket in scratch.seaweedfs_sockets(number):
                    socket.unlink()


def test_keys_are_made_once_and_for_every_part(tmp_path):
    folder = tmp_path / 'a "b\\c'
    assert s3_keys.main([str(folder)]) == 0
    made = {name: (folder / name).read_bytes() for name in s3_keys.FILES}
    assert s3_keys.main([str(folder)]) == 0
    assert {name: (folder / name).read_bytes() for name in s3_keys.FILES} == made
    read = tomllib.loads(made[s3_keys.SECURITY].decode())
    parts = [*read["grpc"].values(), *read["https"].values()]
    assert {one["key"] for one in parts if isinstance(one, dict)} == {str(folder / s3_keys.KEY)}
    (folder / s3_keys.KEY).unlink()
    s3_keys.main([str(folder)])
    assert (folder / s3_keys.CERTIFICATE).read_bytes() != made[s3_keys.CERTIFICATE]
