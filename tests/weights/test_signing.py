"""Signed models: an app that trusts some makers gets their models, and nobody else's."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from carpipe.config import SigningConfig, StoreConfig
from carpipe.errors import ConfigError, InputError
from carpipe.storage import Store
from carpipe.weights import channel, signing
from carpipe.weights.client import open_channel, pull
from carpipe.weights.signing_keys import load_key, load_trusted
from tests.makers import Authority, Maker, private_pem
from tests.tiny import publish


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def ann(folder):
    return Maker(folder, "ann")


@pytest.fixture(scope="module")
def bob(folder):
    return Maker(folder, "bob")


@pytest.fixture(scope="module")
def authority(folder):
    return Authority(folder)


def key_of(path):
    return load_key(SigningConfig(key=str(path)))


def sign(session, model, path):
    return signing.sign(session.store, channel.read_model(session.store, model.key), key_of(path))


def wants(*paths, **settings):
    return SigningConfig(trusted=tuple(map(str, paths)), require=True, **settings)


def pulled(session, tmp_path, *paths, **settings):
    return pull(session.store, cache=tmp_path / "cache", makers=wants(*paths, **settings))


def unpin(session):
    """A release as carpipe 0.1.0 wrote it, so that the signature alone stands between."""
    key = "channels/classifier/production.json"
    body = json.loads(session.store.get(key))
    session.store.put(key, json.dumps({**body, "reason": "test"}).encode())


def test_a_signed_model_is_taken_and_says_by_whom(session, model, ann, tmp_path):
    place = sign(session, model, ann.key)

    assert place == model.key.replace("manifest.json", "model.sig")
    assert pulled(session, tmp_path, ann.public).signed_by == key_of(ann.key).id
    assert pull(session.store, cache=tmp_path).signed_by == ""


def test_an_app_says_whom_it_trusts(session, s3, model, ann, bob, tmp_path):
    options = {"endpoint": s3.endpoint, "cache": tmp_path / "cache"}
    with pytest.raises(InputError, match="is not signed, and a signature is required"):
        open_channel(session.store.url, **options, trusted=[ann.public])
    sign(session, model, ann.key)

    assert open_channel(session.store.url, **options, trusted=[ann.public]).signed_by
    with pytest.raises(InputError, match="which is not among the trusted ones"):
        open_channel(session.store.url, **options, trusted=[bob.public])
    assert open_channel(session.store.url, **options, trusted=[bob.public], require_signature=False).signed_by == ""
    with pytest.raises(ConfigError, match=r"require = true needs signing\.trusted"):
        open_channel(session.store.url, **options, require_signature=True)


def test_the_tool_of_openssf_reads_the_signature_too(session, model, ann, tmp_path):
    place = sign(session, model, ann.key)
    for info in session.store.list_objects(place.rpartition("/")[0]):
        path = tmp_path / "model" / info.key.rpartition("/")[2]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(session.store.get(info.key))
    command = ["verify", "key", "model", "--signature", "model/model.sig", "--public_key", str(ann.public)]

    done = subprocess.run(
        [sys.executable, "-m", "model_signing", *command, "--ignore_unsigned_files"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr


def change(session, key, edit):
    body = json.loads(session.store.get(key))
    edit(body)
    session.store.put(key, json.dumps(body).encode())


def test_a_file_that_was_changed_is_refused(session, model, ann, tmp_path):
    sign(session, model, ann.key)
    labels = model.files["labels.json"]["key"]
    session.store.put(labels, json.dumps(json.loads(session.store.get(labels))[::-1]).encode())

    with pytest.raises(InputError, match=r"labels\.json is not what was committed"):
        pulled(session, tmp_path, ann.public)


def test_a_manifest_that_was_changed_with_the_right_sums_is_refused(session, model, ann, tmp_path):
    sign(session, model, ann.key)
    change(session, model.key, lambda body: body["extra"].update(note="x"))
    unpin(session)

    with pytest.raises(InputError, match="is a signature of another manifest than models/classifier/"):
        pulled(session, tmp_path, ann.public)


def test_the_signature_of_another_model_is_refused(session, model, files, ann, tmp_path):
    other = publish(session, files, tag="other")
    session.store.put(model.key.replace("manifest.json", "model.sig"), session.store.get(sign(session, other, ann.key)))

    with pytest.raises(InputError, match="put the signature of another model here"):
        pulled(session, tmp_path, ann.public)


def test_a_model_with_its_signature_is_no_model_of_another_channel(session, model, ann, tmp_path):
    sign(session, model, ann.key)
    home, there = model.key.rpartition("/")[0], "models/classifier/" + "f" * 20
    for info in session.store.list_objects(home):
        session.store.put(info.key.replace(home, there), session.store.get(info.key))
    channel.promote(session.store, "classifier", model=f"{there}/manifest.json", reason="r", run="r", at="t")

    with pytest.raises(InputError, match="is no manifest to be trusted: its file"):
        pulled(session, tmp_path, ann.public)


def forged(data, edit):
    """A signature whose signed content somebody has changed."""
    bundle = json.loads(data)
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    edit(bundle, statement)
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    return json.dumps(bundle).encode()


def test_a_signature_that_was_changed_is_refused(session, model, ann, bob, tmp_path):
    place = sign(session, model, ann.key)
    whole = session.store.get(place)
    session.store.put(place, forged(whole, lambda bundle, statement: statement.update(note="x")))
    with pytest.raises(InputError, match="was not made by the key that it names"):
        pulled(session, tmp_path, ann.public)

    session.store.delete([place])
    by_bob = session.store.get(sign(session, model, bob.key))
    hint = json.loads(whole)["verificationMaterial"]["publicKey"]["hint"]
    session.store.put(
        place, forged(by_bob, lambda bundle, _: bundle["verificationMaterial"]["publicKey"].update(hint=hint))
    )
    with pytest.raises(InputError, match="was not made by the key that it names"):
        pulled(session, tmp_path, ann.public)


GARBAGE = {
    "empty": b"",
    "no JSON": b"PK\x03\x04",
    "a list": b"[]",
    "another object": b"{}",
    "deep": b"[" * 100_000,
    "huge": b" " * (17 * 2**20),
    "no payload": b'{"dsseEnvelope": {"payload": 7}, "verificationMaterial": {}}',
    "payload is no base64": b'{"dsseEnvelope": {"payload": "\xc3\xa4"}, "verificationMaterial": {}}',
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_signature_is_refused(session, model, ann, tmp_path, data):
    session.store.put(model.key.replace("manifest.json", "model.sig"), data)

    with pytest.raises(InputError, match=r"model\.sig .*(is not a signature of a model|has more than)"):
        pulled(session, tmp_path, ann.public)


PARTS = {
    "no signatures": lambda bundle, _: bundle["dsseEnvelope"].update(signatures=[]),
    "no media type": lambda bundle, _: bundle.pop("mediaType"),
    "sig is a number": lambda bundle, _: bundle["dsseEnvelope"]["signatures"][0].update(sig=7),
    "no hint": lambda bundle, _: bundle["verificationMaterial"]["publicKey"].pop("hint"),
    "a certificate of no bytes": lambda bundle, _: bundle.update(
        verificationMaterial={"x509CertificateChain": {"certificates": [{"rawBytes": "AAAA"}]}}
    ),
    "another type": lambda _, statement: statement.update(predicateType="https://model_signing/Digests/v0.1"),
    "two files": lambda _, statement: statement["predicate"]["resources"].append({}),
}


@pytest.mark.parametrize("edit", PARTS.values(), ids=PARTS)
def test_a_signature_in_pieces_is_refused_with_a_sentence(session, model, ann, authority, tmp_path, edit):
    place = sign(session, model, ann.key)
    session.store.put(place, forged(session.store.get(place), edit))

    with pytest.raises(InputError, match=r"model\.sig"):
        pulled(session, tmp_path, ann.public, authority.root)


def test_a_second_signing_changes_nothing(session, model, ann):
    place = sign(session, model, ann.key)
    first = session.store.head(place).etag

    assert sign(session, model, ann.key) == place
    assert session.store.head(place).etag == first


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_signature_hides_no_good_second_one(session, model, ann, bob, authority, tmp_path, data):
    sign(session, model, bob.key)
    second = sign(session, model, ann.key)
    session.store.put(model.key.replace("manifest.json", "model.sig"), data)

    assert pulled(session, tmp_path, ann.public).signed_by == key_of(ann.key).id
    for folder in (tmp_path / "cache").rglob("model-*.sig"):  # nor in the cache
        folder.with_name("model.sig").write_bytes(data)
    away = Store(StoreConfig(url=session.store.url, endpoint="http://127.0.0.1:9", max_retries=0, timeout_s=2))
    found = pull(away, cache=tmp_path / "cache", offline_ok=True, makers=wants(ann.public, authority.root))
    assert found.signed_by in second


@pytest.mark.parametrize("data", [b"x", b" " * (2**20 + 1)], ids=["short", "long"])
def test_garbage_under_the_signature_is_signed_over(session, model, ann, tmp_path, data):
    session.store.put(model.key.replace("manifest.json", "model.sig"), data)

    sign(session, model, ann.key)

    assert pulled(session, tmp_path, ann.public).signed_by


def test_keys_follow_one_another_with_overlap(session, model, ann, bob, tmp_path):
    first, second = sign(session, model, ann.key), sign(session, model, bob.key)

    assert second == first.replace("model.sig", f"model-{key_of(bob.key).id}.sig")
    assert pulled(session, tmp_path, ann.public).signed_by == key_of(ann.key).id
    assert pulled(session, tmp_path, bob.public).signed_by == key_of(bob.key).id
    assert pulled(session, tmp_path, ann.public, bob.public).signed_by == key_of(ann.key).id
    assert sign(session, model, bob.key) == second


def test_unsigned_models_are_taken_where_they_are_named(session, model, ann, tmp_path):
    ident, sha256 = model.key.split("/")[2], channel.read_model(session.store, model.key).sha256

    assert pulled(session, tmp_path, ann.public, accept_unsigned=(ident,)).signed_by == ""
    assert pulled(session, tmp_path, ann.public, accept_unsigned=(f"{ident}={sha256}",)).id == ident
    with pytest.raises(InputError, match=f"accept_unsigned: '{ident}={sha256}'"):
        pulled(session, tmp_path, ann.public, accept_unsigned=("other",))


def test_an_unsigned_model_that_was_changed_since_it_was_named_is_not_offered_again(session, model, ann, tmp_path):
    ident, sha256 = model.key.split("/")[2], channel.read_model(session.store, model.key).sha256

    with pytest.raises(InputError, match=r"names: that has sha256 0{16}….*Find out who has changed it") as refused:
        pulled(session, tmp_path, ann.public, accept_unsigned=(f"{ident}={'0' * 64}", "other"))
    assert sha256 not in str(refused.value)


def test_an_accepted_model_with_a_wrong_signature_is_refused(session, model, ann, bob, tmp_path):
    sign(session, model, bob.key)

    with pytest.raises(InputError, match="not among the trusted ones"):
        pulled(session, tmp_path, ann.public, accept_unsigned=(model.key.split("/")[2],))


def test_where_no_signature_is_required_one_is_told(session, model, ann, tmp_path, caplog):
    makers = SigningConfig(trusted=(str(ann.public),))

    assert pull(session.store, cache=tmp_path, makers=makers).signed_by == ""
    assert "is not signed" in caplog.text
    assert "It is used all the same." in caplog.text


def test_without_the_store_the_cache_is_held_against_the_keys_too(session, model, ann, bob, tmp_path):
    sign(session, model, ann.key)
    pulled(session, tmp_path, ann.public)
    away = Store(StoreConfig(url=session.store.url, endpoint="http://127.0.0.1:9", max_retries=0, timeout_s=2))

    def offline(*keys):
        return pull(away, cache=tmp_path / "cache", offline_ok=True, makers=wants(*keys))

    assert offline(ann.public).signed_by
    with pytest.raises(InputError, match="not among the trusted ones"):
        offline(bob.public)
    [signature] = (tmp_path / "cache").rglob("model.sig")
    signature.unlink()
    with pytest.raises(InputError, match="is not signed"):
        offline(ann.public)


def test_a_certificate_of_a_trusted_authority_is_taken(session, model, ann, authority, tmp_path):
    sign(session, model, authority.issue(ann))

    assert pulled(session, tmp_path, authority.root).signed_by == f"{key_of(ann.key).id} (CN=ann)"


def test_a_second_certificate_is_found_beside_a_key(session, model, ann, bob, authority, tmp_path):
    sign(session, model, bob.key)
    sign(session, model, authority.issue(ann))

    assert "CN=ann" in pulled(session, tmp_path, authority.root).signed_by


def test_a_certificate_that_has_ended_is_refused(session, model, ann, authority, tmp_path):
    sign(session, model, authority.issue(ann, days=(-30, -1)))

    with pytest.raises(InputError, match="certificate of CN=ann, which does not hold: certificate has expired"):
        pulled(session, tmp_path, authority.root)


def test_a_certificate_of_somebody_else_is_refused(session, model, ann, bob, authority, tmp_path):
    sign(session, model, authority.issue(ann))
    (tmp_path / "other").mkdir()

    with pytest.raises(InputError, match=r"which does not hold: certificate"):
        pulled(session, tmp_path, Authority(tmp_path / "other").root)
    with pytest.raises(InputError, match=r"signing\.trusted names no authority"):
        pulled(session, tmp_path, bob.public)


def test_what_is_no_key_is_said_and_never_shown(folder, ann, bob, authority):
    def problem(path):
        with pytest.raises(ConfigError) as raised:
            key_of(path)
        assert "MIG" not in str(raised.value)
        return str(raised.value)

    two, locked, mixed = folder / "two.pem", folder / "locked.pem", folder / "mixed.pem"
    two.write_bytes(ann.key.read_bytes() + bob.key.read_bytes())
    locked.write_bytes(private_pem(ann.private, b"secret"))
    mixed.write_bytes(bob.key.read_bytes() + authority.issue(ann).read_bytes()[len(ann.key.read_bytes()) :])
    assert "holds 0 private keys" in problem(ann.public)
    assert "holds 2 private keys" in problem(two)
    assert "it is encrypted" in problem(locked)
    assert "is not of the private key there" in problem(mixed)
    assert "cannot be read: No such file" in problem(folder / "none.pem")
    with pytest.raises(ConfigError, match="only tasks of Airflow can read"):
        load_key(SigningConfig(key="connection:signing"))
    assert load_key(SigningConfig(key="connection:signing"), ann.key.read_bytes()).id == key_of(ann.key).id
    assert repr(key_of(ann.key)).find("PRIVATE") == -1
    with pytest.raises(ConfigError, match="public keys or certificates in PEM, and nothing else"):
        load_trusted([str(ann.key)])
    rsa = folder / "rsa.pub"
    subprocess.run(f"openssl genrsa 2048 | openssl rsa -pubout -out {rsa}", shell=True, check=True, capture_output=True)
    with pytest.raises(ConfigError, match="is not of the curves P-256"):
        load_trusted([str(rsa)])


def test_a_key_on_no_disk(ann):
    with key_of(ann.key).as_file() as path:
        assert Path(path).read_bytes() == private_pem(ann.private)
    with pytest.raises(FileNotFoundError):
        Path(path).read_bytes()


def test_a_key_that_others_can_read_is_told_of(ann, tmp_path, caplog):
    key = tmp_path / "ann.pem"
    key.write_bytes(ann.key.read_bytes())
    key.chmod(0o600)
    load_key(SigningConfig(key=str(key)))
    assert caplog.text == ""

    key.chmod(0o640)
    load_key(SigningConfig(key=str(key)))
    assert "can be read by other accounts; `chmod 600`" in caplog.text
