"""The fields of the trigger forms: what they show, what they take, and what they say of all else."""

import pytest

# A run's `conf` that an earlier version took must be one for ever.
TAKEN = [
    ("dataset", None), ("dataset", ""), ("dataset", "ce74"), ("dataset", "ce749f44"),
    ("dataset", "0123456789abcdef0123"), ("dataset", f"datasets/{'a' * 20}/manifest.json"),
    ("model", "ce74"), ("model", "b" * 20), ("model", f"models/classifier/{'b' * 20}/manifest.json"),
    ("model", "models/a/b/c/manifest.json"),
    ("min_photos", None), ("min_photos", 1), ("share", 0), ("share", 0.5), ("share", None),
    ("start", None), ("start", "warm"), ("loud", True), ("loud", None),
]  # fmt: skip

A_DATASET = (
    "expected the id of a dataset or its first digits, as ce749f44, or a key as datasets/<id>/manifest.json, got"
)
A_MODEL = "expected the id of a model or its first digits, as ce749f44, or a key as models/<channel>/<id>/manifest.json"
REFUSED = [
    ("dataset", "ce7", f"{A_DATASET} 'ce7'."),
    ("dataset", "a" * 21, f"{A_DATASET} '{'a' * 21}'."),
    ("dataset", "the newest", f"{A_DATASET} 'the newest'."),
    ("dataset", 5, f"{A_DATASET} 5."),
    ("model", "datasets/x/manifest.json", f"{A_MODEL}, got 'datasets/x/manifest.json'."),
    ("model", None, f"{A_MODEL}, got nothing."),
    ("model", "", f"{A_MODEL}, got nothing."),
    ("min_photos", 0, "expected a whole number from 1 up, or nothing, got 0."),
    ("min_photos", 1.5, "expected a whole number from 1 up, or nothing, got 1.5."),
    ("min_photos", "many\n" + 200 * "x", f"expected a whole number from 1 up, or nothing, got 'many\\n{92 * 'x'}…."),
    ("share", 1.1, "expected a number from 0 to 1, or nothing, got 1.1."),
    ("start", "hot", "expected one of auto, warm, got 'hot'."),
    ("loud", "yes", "expected true or false, or nothing, got 'yes'."),
]


@pytest.fixture
def fields():
    from carpipe_airflow import form

    return {
        "dataset": form.dataset_field("the newest"),
        "model": form.model_field(),
        "min_photos": form.setting("classes.min_photos", "integer", "Photos", "Few.", minimum=1),
        "share": form.setting("filter.threshold", "number", "Sure", "How.", minimum=0, maximum=1),
        "start": form.setting("classifier.start", "string", "Start", "From.", enum=["auto", "warm"]),
        "loud": form.setting("clean.accept_unreadable", "boolean", "Go on", "Past."),
    }


@pytest.mark.parametrize(("name", "value"), TAKEN)
def test_what_is_taken(fields, name, value):
    assert fields[name].resolve(value) == value


@pytest.mark.parametrize(("name", "value", "says"), REFUSED)
def test_what_is_refused_in_a_sentence(fields, name, value, says):
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError) as refused:
        fields[name].resolve(value)
    assert str(refused.value) == says


def test_the_api_server_says_the_same(fields):
    """It knows a field by its serialized form alone."""
    from airflow.exceptions import ParamValidationError
    from airflow.serialization.definitions.param import SerializedParam, SerializedParamsDict

    given = fields["min_photos"].serialize()
    known = SerializedParam(given["value"], given["description"], given["source"], **given["schema"])
    says = "Invalid input for param min_photos: expected a whole number from 1 up, or nothing, got 0."
    with pytest.raises(ParamValidationError) as refused:
        SerializedParamsDict({"min_photos": known}).deep_merge({"min_photos": 0}).validate()
    assert str(refused.value) == says


@pytest.fixture
def settings(monkeypatch, tmp_path):
    """Write the settings file of this machine."""
    file = tmp_path / "carpipe.toml"
    monkeypatch.setenv("CARPIPE_CONFIG", str(file))
    return file.write_text


def test_a_field_shows_what_the_settings_say(settings, request):
    settings("[classes]\nmin_photos = 7\n[clean]\naccept_unreadable = true\n")
    fields = request.getfixturevalue("fields")

    shown = {name: param.value for name, param in fields.items()}
    assert shown == {
        "dataset": None, "model": None, "min_photos": 7, "share": 0.7, "start": "auto", "loud": True,
    }  # fmt: skip
    assert fields["min_photos"].description == "Few. The settings say 7 (classes.min_photos)."
    assert fields["loud"].description == "Past. The settings say true (clean.accept_unreadable)."


@pytest.mark.parametrize("text", [None, "no TOML", "[classes]\nmin_photos = 0\n", "[unknown]\n"])
def test_a_machine_that_cannot_know_says_which_settings_count(text, monkeypatch, settings, request):
    """Where the DAG is read may be no file of settings. That must stop no run, which may find one."""
    if text is None:
        monkeypatch.delenv("CARPIPE_CONFIG")
        monkeypatch.delenv("CARPIPE_STORE", raising=False)
    else:
        settings(text)
    field = request.getfixturevalue("fields")["min_photos"]

    assert field.value is None
    assert field.description == "Few. Empty: what the settings say (classes.min_photos)."


def test_a_bucket_alone_means_the_defaults(monkeypatch, request):
    monkeypatch.delenv("CARPIPE_CONFIG", raising=False)
    monkeypatch.setenv("CARPIPE_STORE", "s3://mine")
    assert request.getfixturevalue("fields")["min_photos"].value == 150
