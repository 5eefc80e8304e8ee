"""An S3 server with a certificate of its own authority, as in-house ones have."""

import datetime
import ipaddress
import json
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from carpipe.config import load_config
from carpipe.errors import AccessError, ConfigError
from carpipe.steps.session import open_session
from carpipe.storage import Access, Store
from tests.chaos.proxy import proxy_to
from tests.conftest import make_config


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """PEM files of a certificate for loopback that has signed itself, and of its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "in-house")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
    signed = builder.add_extension(loopback, critical=False).sign(key, hashes.SHA256())
    (folder / "ca.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(*pem))
    return folder / "ca.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def endpoint(s3, certificate):
    """The S3 server, by https."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with proxy_to(s3.endpoint, tls=context) as proxy:
        yield proxy.endpoint


@pytest.fixture
def url(s3):
    return f"s3://{s3.bucket}/tls"


def test_an_authority_of_ones_own_is_trusted_where_the_settings_say_so(url, endpoint, certificate, tmp_path):
    settings = tmp_path / "carpipe.toml"
    (tmp_path / "ca.pem").write_bytes(certificate[0].read_bytes())
    settings.write_text(f'[store]\nurl = "{url}"\nendpoint = "{endpoint}"\nca_bundle = "ca.pem"\n')

    store = open_session(load_config(settings)).store

    store.put("raw/a", b"photo")
    assert store.get("raw/a") == b"photo"


def test_the_connection_may_bring_it_also_to_another_process(s3, url, endpoint, certificate):
    env = s3.env()
    keys = {"access_key_id": env["AWS_ACCESS_KEY_ID"], "secret_access_key": env["AWS_SECRET_ACCESS_KEY"]}
    access = Access(lambda: {**keys, "expires_at": None}, endpoint=endpoint, ca_bundle=str(certificate[0]))

    there = Access.from_json(json.loads(json.dumps(access.to_json())))

    Store(make_config(url).store, access=there).put("raw/b", b"photo")


def test_what_nobody_trusts_is_no_outage(url, endpoint):
    config = make_config(url, store__endpoint=endpoint, store__max_retries=1).store

    with pytest.raises(AccessError, match=r"is not trusted \(UnknownIssuer\).*store\.ca_bundle"):
        Store(config).get("raw/a")


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_authorities_that_cannot_be_read_are_named(url, tmp_path, content):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError, match=r"authorities to trust, .*ca\.pem, cannot be read as PEM"):
        Store(make_config(url, store__ca_bundle=str(file)).store)
