"""An S3 server with a certificate of its owner's own authority, as in-house ones have."""

import contextlib
import datetime
import ipaddress
import json
import ssl
from dataclasses import replace

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from carpipe.config import load_config
from carpipe.errors import AccessError, ConfigError, UnavailableError
from carpipe.steps.models.gate import check_servable
from carpipe.steps.session import open_session
from carpipe.storage import Access, Store
from carpipe.weights.client import open_channel
from tests import tiny
from tests.chaos.proxy import proxy_to
from tests.conftest import make_config


def sign(subject, *, host=None, authority=None):
    """(certificate, key): for a host by the authority, or of an authority, by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    issuer, signer = (authority[0].subject, authority[1]) if authority else (name, key)
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(issuer, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    builder = builder.add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
    if host:
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        builder = builder.add_extension(address, critical=False)
    return builder.sign(signer, hashes.SHA256()), key


@pytest.fixture(scope="module")
def authority():
    return sign("our authority", host="127.0.0.1")


@pytest.fixture(scope="module")
def ca_pem(authority, tmp_path_factory):
    return write_pem(tmp_path_factory.mktemp("ca") / "ca.pem", authority[0])


def write_pem(path, certificate):
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path


@contextlib.contextmanager
def served(s3, pair, folder):
    """The S3 server by https, with this certificate; gives the endpoint."""
    key = folder / "key.pem"
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key.write_bytes(pair[1].private_bytes(*pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(write_pem(folder / "server.pem", pair[0]), key)
    with proxy_to(s3.endpoint, tls=context) as proxy:
        yield proxy.endpoint


@pytest.fixture(scope="module")
def endpoint(s3, authority, tmp_path_factory):
    pair = sign("server", host="127.0.0.1", authority=authority)
    with served(s3, pair, tmp_path_factory.mktemp("tls")) as address:
        yield address


@pytest.fixture
def url(s3):
    return f"s3://{s3.bucket}/tls"


def test_an_authority_beside_the_settings_is_trusted(url, endpoint, ca_pem, tmp_path):
    settings = tmp_path / "carpipe.toml"
    (tmp_path / "ca.pem").write_bytes(ca_pem.read_bytes())
    settings.write_text(f'[store]\nurl = "{url}"\nendpoint = "{endpoint}"\nca_bundle = "ca.pem"\n')

    store = open_session(load_config(settings)).store

    store.put("raw/a", b"photo")
    assert store.get("raw/a") == b"photo"


def test_the_variable_of_the_aws_tools_counts(url, endpoint, ca_pem, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(ca_pem))

    Store(make_config(url, store__endpoint=endpoint).store).put("raw/b", b"photo")


def test_a_connection_may_bring_it_also_to_another_process(s3, url, endpoint, ca_pem):
    env = s3.env()
    keys = {"access_key_id": env["AWS_ACCESS_KEY_ID"], "secret_access_key": env["AWS_SECRET_ACCESS_KEY"]}
    access = Access(lambda: {**keys, "expires_at": None}, endpoint=endpoint, ca_bundle=str(ca_pem))

    there = Access.from_json(json.loads(json.dumps(access.to_json())))

    Store(make_config(url).store, access=there).put("raw/c", b"photo")


def test_the_gate_finds_a_server_that_only_an_authority_of_ones_own_has_signed(url, endpoint, ca_pem):
    session = open_session(make_config(url, store__endpoint=endpoint, store__ca_bundle=str(ca_pem)))
    model = tiny.publish(session, tiny.Tiny().files())

    assert "loads without TensorFlow" in check_servable(session, model.key)


def test_a_server_that_is_not_trusted_says_nothing_of_the_model(url, endpoint, ca_pem):
    session = open_session(make_config(url, store__endpoint=endpoint, store__ca_bundle=str(ca_pem)))
    model = tiny.publish(session, tiny.Tiny().files())

    with pytest.raises(UnavailableError, match=r"was not found out: .*nobody known has signed it"):
        check_servable(replace(session, config=make_config(url, store__endpoint=endpoint)), model.key)


def test_an_app_may_name_it(url, endpoint, ca_pem, tmp_path):
    with pytest.raises(AccessError, match="nobody known has signed it"):
        open_channel(url, endpoint=endpoint, cache=tmp_path)
    with pytest.raises(Exception, match="channel") as raised:
        open_channel(url, endpoint=endpoint, ca_bundle=str(ca_pem), cache=tmp_path)
    assert not isinstance(raised.value, AccessError)


@pytest.mark.parametrize(
    ("bundle", "server", "why"),
    [
        (False, "right", "nobody known has signed it; name the PEM file of its authority"),
        (True, "another host's", "NotValidForName"),
        (True, "the authority's own", r"it is an authority's own \(CA:TRUE\)"),
    ],
)
def test_what_is_not_trusted_is_no_outage(s3, url, authority, ca_pem, tmp_path, bundle, server, why):
    pairs = {
        "right": lambda: sign("server", host="127.0.0.1", authority=authority),
        "another host's": lambda: sign("server", host="127.0.0.9", authority=authority),
        "the authority's own": lambda: authority,
    }
    with served(s3, pairs[server](), tmp_path) as address:
        config = make_config(
            url, store__endpoint=address, store__max_retries=1, store__ca_bundle=str(ca_pem) if bundle else ""
        )
        with pytest.raises(AccessError, match=f"The certificate of .* is not trusted: {why}"):
            Store(config.store).get("raw/a")


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_authorities_that_cannot_be_read_are_named(url, tmp_path, content):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError, match=r"authorities to trust, .*ca\.pem, cannot be read as PEM"):
        Store(make_config(url, store__ca_bundle=str(file)).store)


def test_a_listing_that_obstore_refuses_trusts_the_same_authorities_and_keys(s3, endpoint, ca_pem, tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes("# of the bureau in Besançon\n".encode("latin-1") + ca_pem.read_bytes())
    env = s3.env()
    keys = {"access_key_id": env["AWS_ACCESS_KEY_ID"], "secret_access_key": env["AWS_SECRET_ACCESS_KEY"]}
    access = Access(lambda: {**keys, "expires_at": None}, endpoint=endpoint, ca_bundle=str(bundle))
    boto3.client("s3", endpoint_url=s3.endpoint, region_name="us-east-1").put_object(
        Bucket=s3.bucket, Key="tls/raw/odd/new\nline", Body=b"1"
    )

    found = Store(make_config(f"s3://{s3.bucket}/tls").store, access=access).list_objects("raw/odd")

    assert [info.key for info in found] == ["raw/odd/new\nline"]
