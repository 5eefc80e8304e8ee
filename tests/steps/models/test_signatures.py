"""Keys in the hands of those who publish: package signs, promote and roll back want signatures, commands say whose."""

import hashlib
import json

import pytest

from carpipe import manifest
from carpipe.cli import main
from carpipe.errors import InputError
from carpipe.steps.cache import ResultCache
from carpipe.steps.models.package import package
from carpipe.steps.models.publish import promote, publish, rollback
from carpipe.steps.session import Session
from carpipe.steps.views import channels
from carpipe.weights import channel
from carpipe.weights.signing_keys import load_key
from tests import recorded, tiny
from tests.conftest import make_config
from tests.makers import Maker
from tests.weights.test_pinned import reverse_labels


@pytest.fixture(scope="module")
def ann(tmp_path_factory):
    return Maker(tmp_path_factory.mktemp("keys"), "ann")


@pytest.fixture(scope="module")
def files():
    return tiny.Tiny().files()


def told(session, **settings):
    """The session of somebody with other settings."""
    return Session(make_config(session.store.url, **settings), session.store)


@pytest.fixture(scope="module")
def old(s3):
    """A bucket of carpipe 0.1.0: its models are packaged, and not signed."""
    return recorded.restored(s3)


def with_key(session, ann):
    signing = session.config.signing.model_copy(update={"key": str(ann.key)})
    return Session(session.config.model_copy(update={"signing": signing}), session.store)


def packaged(session):
    folder = session.store.list_folders("models/classifier")[-1]
    return manifest.read(session.store, f"{folder}/manifest.json")


def test_package_signs_what_is_there_already(old, ann, caplog):
    model = packaged(old)
    place = model.key.replace("manifest.json", "model.sig")

    assert package(with_key(old, ann), model.inputs[0], model="classifier").key == model.key
    signed = old.store.head(place)
    assert signed
    package(with_key(old, ann), model.inputs[0], model="classifier")
    assert old.store.head(place).etag == signed.etag


@pytest.mark.parametrize("keyed", [True, False], ids=["key", "no key"])
def test_what_somebody_else_put_under_a_model_s_key_is_neither_judged_nor_signed(old, ann, keyed):
    """The key follows from the evaluation: who may write `models/` can be there first."""
    model = packaged(old)
    place = model.key.replace("manifest.json", "model.sig")
    before = old.store.get(model.key)
    old.store.delete([place])
    for edit in (
        lambda body: body["files"]["labels.json"].update(sha256="0" * 64),
        lambda body: body["extra"].update(classes=body["extra"]["classes"][::-1]),
        lambda body: body.update(inputs=["stages/evaluate/classifier/0/manifest.json"]),
        lambda body: body["extra"]["metrics"].update(test_accuracy=1.0),
        lambda body: body["files"]["preprocessing.json"].update(body["files"]["crop.json"]),
        lambda body: body["files"]["model.xml"].update(body["files"]["README.md"]),
        lambda body: body["files"].pop("golden.npz"),
    ):
        body = json.loads(before)
        edit(body)
        old.store.put(model.key, json.dumps(body).encode())
        with pytest.raises(InputError, match=r"is not what is packaged today.*delete everything under models/classif"):
            package(with_key(old, ann) if keyed else old, model.inputs[0], model="classifier")
        assert old.store.head(place) is None
    old.store.put(model.key, before)


def test_what_the_gate_has_judged_goes_live_and_nothing_else(session, files):
    model = tiny.publish(session, files)
    judged = hashlib.sha256(session.store.get(model.key)).hexdigest()
    facts = {"model": "classifier", "reason": "r", "run": "r", "at": "t", "expected": 0}
    reverse_labels(session, model)

    with pytest.raises(InputError, match="is not the manifest that the gate's decision means"):
        publish(session, model.key, manifest_sha256=judged, **facts)
    assert publish(session, model.key, **facts).generation == 1, "a gate of carpipe 0.1.0 has not said"


def test_a_rollback_wants_the_manifest_that_was_live(session, files):
    models = [tiny.publish(session, files, tag=tag) for tag in "ab"]
    for model in models:
        tiny.go_live(session, model)
    reverse_labels(session, models[0])

    with pytest.raises(InputError, match="is not the manifest that generation 1 of channel classifier means"):
        rollback(session, "classifier", run="r", at="t", reason="worse")
    assert channel.read_channel(session.store, "classifier").model == models[1].key


def test_only_signed_models_are_promoted_and_gone_back_to(session, files, ann, tmp_path):
    eve = Maker(tmp_path, "eve")
    wants = told(session, signing__trusted=(str(ann.public),), signing__require=True)
    models = [tiny.publish(session, files, tag=tag) for tag in "ab"]
    facts = {"run": "r", "at": "t", "reason": "r"}
    with pytest.raises(InputError, match="is not signed"):
        promote(wants, "classifier", models[0].key, **facts)
    with pytest.raises(InputError, match="is not signed"):
        publish(wants, models[0].key, model="classifier", expected=None, **facts)

    keys = [load_key(told(session, signing__key=str(who.key)).config.signing) for who in (eve, ann)]
    from carpipe.weights import signing

    for model, key in zip(models, keys, strict=True):
        signing.sign(session.store, channel.read_model(session.store, model.key), key)
        tiny.go_live(session, model)
    with pytest.raises(InputError, match="not among the trusted ones"):
        rollback(wants, "classifier", **facts)
    both = told(session, signing__trusted=(str(ann.public), str(eve.public)), signing__require=True)
    assert rollback(both, "classifier", **facts).model == models[0].key


@pytest.fixture
def command(session, monkeypatch, capsys):
    monkeypatch.setenv("CARPIPE_STORE", session.store.url)

    def run(*arguments):
        code = main(["--quiet", *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def test_commands_sign_and_verify(session, files, ann, command, tmp_path):
    model = tiny.publish(session, files)
    tiny.go_live(session, model)
    ident, key = model.key.split("/")[2], load_key(told(session, signing__key=str(ann.key)).config.signing)

    assert command("weights", "sign", "classifier") == (
        1, "carpipe: There is no key to sign with; name its PEM file in signing.key, or with --key.\n",
    )  # fmt: skip
    code, said = command("weights", "verify", "classifier", "--trusted", ann.public)
    assert (code, "is not signed" in said) == (1, True)
    code, said = command("--set", f'signing.accept_unsigned=["{ident}"]', "weights", "verify", "classifier")
    assert (code, "accepted as that by signing.accept_unsigned" in said) == (0, True)

    assert command("weights", "sign", "classifier", "--model", ident, "--key", ann.key)[0] == 0
    code, said = command("weights", "verify", "classifier", "--trusted", ann.public)
    assert (code, f"signed by {key.id}" in said, f"{len(files)} files are what" in said) == (0, True, True)
    code, said = command("weights", "verify", "classifier", "--trusted", Maker(tmp_path, "eve").public)
    assert (code, f"was made with key {key.id}, which is not among" in said) == (1, True)
    assert "which signing.trusted names, cannot be read" in command(
        "weights", "verify", "classifier", "--trusted", tmp_path / "none.pub"
    )[1]  # fmt: skip

    session.store.put(model.files["README.md" if "README.md" in files else "model.bin"]["key"], b"x")
    code, said = command("weights", "verify", "classifier", "--trusted", ann.public)
    assert (code, "is not what was committed: " in said) == (1, True)
    assert command("weights", "sign", "classifier", "--key", ann.key)[0] == 1, "what was changed is not signed"
    reverse_labels(session, model)
    code, said = command("weights", "verify", "classifier", "--trusted", ann.public)
    assert (code, "is not the manifest that generation 1" in said) == (1, True)


def test_the_page_says_who_made_a_model_and_which_do_not_match(session, files, ann):
    extra = {"metrics": {}, "dataset": "datasets/x"}
    models = [tiny.publish(session, files, tag=tag, **extra) for tag in "abc"]
    from carpipe.weights import signing

    key = load_key(told(session, signing__key=str(ann.key)).config.signing)
    signing.sign(session.store, channel.read_model(session.store, models[1].key), key)
    for model in models[:2]:
        tiny.go_live(session, model)

    def shown(**settings):
        page = channels.show_channel(ResultCache(told(session, **settings)), "classifier")
        return page, {model.key: (model.maker, model.problem) for model in page.models}

    page, makers = shown()
    assert page.problem == ""
    assert makers[models[0].key] == ("not signed", "")
    assert makers[models[1].key][0].startswith(f"says to be signed by {key.id}; no keys are trusted here")
    too_large = models[2].key.replace("manifest.json", "model.sig")
    session.store.put(too_large, b" " * (2**20 + 1))
    assert shown()[1][models[2].key][0].startswith("says to be signed by nobody knows whom;")
    session.store.delete([too_large])
    page, makers = shown(signing__trusted=(str(ann.public),), signing__require=True)
    assert (page.problem, makers[models[1].key]) == ("", (f"signed by {key.id}", ""))
    assert "is not signed" in makers[models[2].key][1]

    cache = ResultCache(session)
    assert channels.show_channel(cache, "classifier").problem == ""
    reverse_labels(session, models[1])
    assert "is not the manifest that generation 2" in channels.show_channel(cache, "classifier").problem
    session.store.delete([models[1].key])
    assert channels.show_channel(ResultCache(session), "classifier").problem == f"{models[1].key} is gone."
