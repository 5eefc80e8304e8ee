"""The AWS chain: every way in which the SDK finds keys opens the bucket, where the environment holds none."""

import hashlib
import json
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from uuid import uuid4

import pytest

from carpipe.config import StoreConfig
from carpipe.errors import AccessError, ConfigError
from carpipe.storage import Store

LATER = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Keeper(BaseHTTPRequestHandler):
    """Who gives keys: to machines, to containers and pods, for a web identity, and for a single sign-on."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._say(self.server.says(self.path, self.headers))

    do_PUT = do_POST = do_GET  # noqa: N815  # http.server asks for these names

    def _say(self, body):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200 if body is not None else 404)
        data = body.encode() if body is not None else b""
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def bare(s3, monkeypatch, tmp_path):
    """The address of a bucket, for a process that has neither keys nor a home of its own."""
    for name in (*s3.env(), "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.endpoint)
    (tmp_path / ".aws").mkdir()
    return StoreConfig(url=f"s3://{s3.bucket}/{uuid4().hex[:12]}", endpoint=s3.endpoint, max_retries=0)


@pytest.fixture
def keeper(s3):
    """A server of keys; set what it `says` of a path and headers."""
    server = HTTPServer(("127.0.0.1", 0), Keeper)
    server.keys = {"AccessKeyId": s3.access_key, "SecretAccessKey": s3.secret_key, "Expiration": LATER}
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def opens(config):
    store = Store(config)
    store.put("raw/a", b"photo")
    return store.get("raw/a") == b"photo"


def profile(tmp_path, text, *, file="config"):
    (tmp_path / ".aws" / file).write_text(text)


def test_a_profile_opens_the_bucket(bare, s3, tmp_path, monkeypatch):
    keys = f"aws_access_key_id = {s3.access_key}\naws_secret_access_key = {s3.secret_key}\n"
    profile(tmp_path, f"[ann]\n{keys}", file="credentials")
    profile(tmp_path, "[profile ann]\nregion = eu-central-1\n")
    monkeypatch.setenv("AWS_PROFILE", "ann")
    assert opens(bare)


def test_the_profile_default_is_found_unasked(bare, s3, tmp_path):
    keys = f"aws_access_key_id = {s3.access_key}\naws_secret_access_key = {s3.secret_key}\n"
    profile(tmp_path, f"[default]\n{keys}", file="credentials")
    assert opens(bare)


def test_a_program_may_give_the_keys(bare, s3, tmp_path, monkeypatch):
    said = {"Version": 1, "AccessKeyId": s3.access_key, "SecretAccessKey": s3.secret_key}
    (tmp_path / "keys.json").write_text(json.dumps(said))
    profile(tmp_path, f"[profile ann]\ncredential_process = cat {tmp_path / 'keys.json'}\n")
    monkeypatch.setenv("AWS_PROFILE", "ann")
    assert opens(bare)


def pod(keeper, monkeypatch, tmp_path):
    """A container's role, as ECS and EKS Pod Identity give it."""
    (tmp_path / "token").write_text("mine")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{keeper.url}/role")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    keys = {**keeper.keys, "Token": ""}
    keeper.says = lambda path, headers: json.dumps(keys) if headers.get("Authorization") == "mine" else None


def machine(keeper, monkeypatch, tmp_path):
    """An instance's role, by the second version of its protocol."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", keeper.url)
    keys = {**keeper.keys, "Token": "", "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z"}

    def says(path, headers):
        if path == "/latest/api/token":
            return "mine"
        return json.dumps(keys) if path.endswith("/cars") else "cars"

    keeper.says = says


def identity(keeper, monkeypatch, tmp_path):
    """A web identity, as service accounts of Kubernetes have it."""
    (tmp_path / "token").write_text("mine")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/cars")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", keeper.url)
    keys = "".join(f"<{name}>{value}</{name}>" for name, value in {**keeper.keys, "SessionToken": ""}.items())
    result = f"<AssumeRoleWithWebIdentityResult><Credentials>{keys}</Credentials></AssumeRoleWithWebIdentityResult>"
    keeper.says = lambda path, headers: (
        f'<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">{result}'
        "</AssumeRoleWithWebIdentityResponse>"
    )


def sign_on(keeper, monkeypatch, tmp_path):
    """A single sign-on that somebody has made on this machine, `aws sso login`."""
    start = "https://cars.awsapps.com/start"
    profile(
        tmp_path,
        f"[profile ann]\nsso_start_url = {start}\nsso_region = us-east-1\nsso_account_id = 123456789012\n"
        "sso_role_name = cars\nregion = us-east-1\n",
    )
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    name = hashlib.sha1(start.encode(), usedforsecurity=False).hexdigest()
    token = {"startUrl": start, "region": "us-east-1", "accessToken": "mine", "expiresAt": LATER}
    (cache / f"{name}.json").write_text(json.dumps(token))
    monkeypatch.setenv("AWS_PROFILE", "ann")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", keeper.url)
    end = int((datetime.now(UTC) + timedelta(hours=1)).timestamp() * 1000)
    keys = {"accessKeyId": keeper.keys["AccessKeyId"], "secretAccessKey": keeper.keys["SecretAccessKey"]}
    body = json.dumps({"roleCredentials": {**keys, "sessionToken": "", "expiration": end}})
    keeper.says = lambda path, headers: body if headers.get("x-amz-sso_bearer_token") == "mine" else None


def opens_elsewhere(config, *, without=""):
    """As `opens`, in a fresh process, which may lack a package."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({without.split()!r}))\n"
        "from carpipe.config import StoreConfig; from carpipe.errors import CarpipeError\n"
        "from carpipe.storage import Store\n"
        "try:\n"
        "    store = Store(StoreConfig.model_validate_json(sys.stdin.read()))\n"
        "    store.put('raw/a', b'photo')\n"
        "except CarpipeError as error:\n"
        "    sys.exit(str(error))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=config.model_dump_json(), capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    return done.stderr.strip()


@pytest.mark.parametrize("way", [pod, machine, identity])
def test_roles_open_the_bucket(bare, keeper, monkeypatch, tmp_path, way):
    way(keeper, monkeypatch, tmp_path)
    assert opens(bare)


def test_a_single_sign_on_opens_the_bucket(bare, keeper, monkeypatch, tmp_path):
    sign_on(keeper, monkeypatch, tmp_path)
    assert opens_elsewhere(bare) == ""  # botocore asks for the home folder when it is imported


def test_one_that_has_ended_is_said_to_have(bare, keeper, monkeypatch, tmp_path):
    sign_on(keeper, monkeypatch, tmp_path)
    for file in (tmp_path / ".aws" / "sso" / "cache").iterdir():
        file.write_text(file.read_text().replace(LATER, "2026-01-01T00:00:00Z"))
    said = opens_elsewhere(bare)
    assert said.startswith("The AWS chain gives no keys for the bucket: The SSO session")
    assert "has expired" in said
    assert said.endswith("Sign on anew: `aws sso login`.")
    assert "Traceback" not in said


@pytest.mark.parametrize("way", [pod, machine])
def test_roles_need_no_boto3(bare, keeper, monkeypatch, tmp_path, way):
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", keeper.url)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    way(keeper, monkeypatch, tmp_path)
    assert opens_elsewhere(bare, without="boto3") == ""


def test_a_profile_without_boto3_is_said_to_need_it(bare, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "ann")
    assert "profiles take boto3, which is not installed" in opens_elsewhere(bare, without="boto3")


def test_a_profile_that_is_not_there_is_named(bare, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "ann")
    with pytest.raises(
        AccessError, match=r"gives no keys for the bucket: The config profile \(ann\) could not be found"
    ):
        Store(bare)


def test_no_keys_at_all_are_said_to_be_missing(bare, keeper, monkeypatch):
    with pytest.raises(AccessError, match=r"There are no keys for the bucket\. Set AWS_ACCESS_KEY_ID"):
        Store(bare)

    keeper.says = lambda path, headers: None  # a machine that has no role
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", keeper.url)
    assert "There are no keys for the bucket" in opens_elsewhere(bare, without="boto3")


@pytest.mark.parametrize("half", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_a_key_is_none(bare, monkeypatch, half):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "")
    monkeypatch.setenv(half, "mine")
    with pytest.raises(ConfigError, match=f"{half} is set, and AWS_[A-Z_]+ is not"):
        Store(bare)


def test_keys_of_the_environment_go_first(bare, s3, monkeypatch, tmp_path):
    profile(tmp_path, "[default]\naws_access_key_id = wrong\naws_secret_access_key = wrong\n", file="credentials")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_key)
    assert opens(bare)
