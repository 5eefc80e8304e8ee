"""Each role does its work with the rights of its policy, and nothing else: on a real server that knows identities."""

import json
import time
import uuid
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from carpipe.cli import main
from carpipe.config import load_config
from carpipe.errors import AccessError, InputError
from carpipe.local import s3server as embedded
from carpipe.rights import PROBE, ROLES, may, policy
from carpipe.steps import bundles, chain
from carpipe.steps.data.listings import known_listings
from carpipe.steps.labels.store import read_labels
from carpipe.steps.listings.store import import_corrections
from carpipe.steps.models.train_process import TrainingRun
from carpipe.steps.session import open_session
from carpipe.storage import Store
from tests import recorded
from tests.serving.conftest import post, ready, serving, wait_for
from tests.test_read_only import AT, READING
from tests.tiny import Tiny, crop_files, go_live, publish

HOMES = ("raw", "labels/car-filter", "labels/classes", "labels/classifier/candidates", "stages/crop", "stages/advice",
         "datasets", "models", "channels", "runs/probe", "runs/train")  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """An S3 server whose users can be made."""
    with pytest.MonkeyPatch.context() as patch:
        command = embedded._command
        patch.setattr(embedded, "_command", lambda *given: [*command(*given), "-s3.iam.readOnly=false"])
        with embedded.s3server(tmp_path_factory.mktemp("identities")) as settings:
            yield settings


@pytest.fixture(scope="module")
def owner(server):
    """The session of somebody who may do everything, on a bucket as three nights have left it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.env().items():
            patch.setenv(name, value)
        yield recorded.restored(server)


@pytest.fixture(scope="module")
def users(server, owner):
    """Keys by role."""
    keys = {"endpoint_url": server.endpoint, "region_name": "us-east-1"}
    iam = boto3.client("iam", aws_access_key_id=server.access_key, aws_secret_access_key=server.secret_key, **keys)
    found = {}
    for role in ROLES:
        iam.create_user(UserName=role)
        iam.put_user_policy(UserName=role, PolicyName="p", PolicyDocument=json.dumps(policy(role, owner.store.url)))
        key = iam.create_access_key(UserName=role)["AccessKey"]
        found[role] = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    time.sleep(1)  # until the server knows them
    return found


@pytest.fixture
def by(server, owner, users, monkeypatch):
    """Become somebody of a role: for commands, and for a session that is returned."""

    def become(role):
        for name, value in {**server.env(), **users[role]}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CARPIPE_STORE", owner.store.url)
        monkeypatch.setenv("CARPIPE_CONFIG", str(recorded.SETTINGS))
        return lambda: open_session(load_config(recorded.SETTINGS, {"store.url": owner.store.url}))

    return become


@pytest.fixture
def does(capsys):
    """Run commands; each has to end well."""

    def run(*commands):
        for command in commands:
            code = main([str(part) for part in command])
            assert code == 0, f"{command}: {capsys.readouterr().err}"

    return run


def names(owner):
    """A listing, and one of its photos."""
    listing = next(iter(known_listings(owner).listings))
    key = next(info.key for info in owner.store.list_objects("raw") if listing in info.key.lower())
    return listing, key.removeprefix("raw/")


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_its_policy_says_and_nothing_else(owner, users, by, role):
    by(role)
    store = Store(owner.config.store)
    for home in HOMES:
        key, own = f"{home}/ours.txt", f"{home}/{uuid.uuid4().hex}.txt"
        owner.store.put(key, b"ours")
        for action, do in (
            ("read", lambda key=key: store.get(key)),
            ("write", lambda own=own: store.put(own, b"mine")),
            ("delete", lambda key=key: store.delete([key])),
        ):
            if may(role, action, key):
                do()
            else:
                with pytest.raises(AccessError):
                    do()
        owner.store.delete([key, own])


@pytest.mark.parametrize("role", ["reader", "labeller", "pages", "tasks", "reviewer", "doctor"])
def test_labels_of_years_are_read_with_any_rights(owner, by, role, monkeypatch):
    """By a copy in `runs/bundles/`, where the role may read it."""
    monkeypatch.setattr(bundles, "MANY", 2)
    rows = [f"labels/car-filter/2026010{n}T000000Z-0000000{n}.csv" for n in range(1, 6)]
    for number, key in enumerate(rows):
        owner.store.put(key, f"key,label\na_b_2014/{number}.jpg,auto\n".encode())
    expected = read_labels(owner)
    assert read_labels(by(role)()) == expected
    owner.store.delete(rows)


@pytest.mark.parametrize("role", ROLES)
def test_who_reads_a_prefix_is_told_what_is_not_there(owner, by, role):
    by(role)
    store = Store(owner.config.store)
    for home in HOMES:
        if may(role, "read", f"{home}/x"):
            assert store.head(f"{home}/nothing.json") is None
            assert list(store.list_objects(f"{home}/nothing")) == []


def test_apps_pull_weights(by, does, tmp_path):
    by("app")
    does(["weights", "pull", "classifier", tmp_path / "out"], ["weights", "pull", "car-filter", tmp_path / "other"])


def test_the_api_answers_and_keeps_candidates(owner, by, tmp_path):
    model = publish(owner, Tiny().files() | crop_files(image_size=320), tag="rights")
    photo = next(data for key, data in recorded.objects() if key.startswith("raw/") and key.endswith(".jpg"))
    before = owner.store.get("channels/classifier/production.json")
    go_live(owner, model)
    by("api")
    session = replace(owner, store=Store(owner.config.store))
    try:
        with serving(session, tmp_path) as client:
            ready(client)
            answer = post(client, photo).json()
            said = client.post("/feedback", json={"id": answer["id"], "right": False, "class_name": "audi_a4"})
            assert said.status_code == 202
            wait_for(lambda: list(owner.store.list_objects("labels/classifier/candidates")))
    finally:
        owner.store.put("channels/classifier/production.json", before)


def test_readers_read(owner, by, does, tmp_path):
    listing, _ = names(owner)
    import_corrections(owner, f"listing,to\n{listing},seller-is-right\n".encode(), known=known_listings(owner), at=AT)
    by("reader")
    does(*([part.format(out=tmp_path / name, listing=listing) for part in command]
           for name, command in READING.items()))  # fmt: skip


def test_uploaders_upload(by, does, owner, tmp_path):
    folder = tmp_path / "photos" / "audi_a3_2014"
    folder.mkdir(parents=True)
    _, key = names(owner)
    name = f"7_1_{uuid.uuid4()}_{uuid.uuid4()}.jpg"
    (folder / name).write_bytes(owner.store.get(f"raw/{key}"))
    by("uploader")
    does(["upload", tmp_path / "photos"])
    assert owner.store.head(f"raw/audi_a3_2014/{name}")
    owner.store.delete([f"raw/audi_a3_2014/{name}"])


def test_labellers_label(owner, by, does, tmp_path):
    _, key = names(owner)
    (tmp_path / "labels.csv").write_text(f"key,label\n{key},auto\n")
    (tmp_path / "views.csv").write_text(f"key,view\n{key},front\n")
    by("labeller")
    does(
        ["labels", "import", tmp_path / "labels.csv", "--by", "ann"],
        ["labels", "import", tmp_path / "views.csv", "--views", "--by", "ann"],
        ["labels", "sample", tmp_path / "sample", "--count", "2"],
        ["labels", "status"],
    )


def test_correctors_correct(owner, by, does):
    listing, _ = names(owner)
    by("corrector")
    does(["listings", "correct", listing, "seller-is-right", "--by", "ann"], ["listings", "status"])


def test_movers_move(owner, by, does):
    model = next(iter(known_listings(owner).listings.values()))
    by("mover")
    does(["classes", "advise"], ["classes", "move", model, "other_cars", "--by", "ann"], ["classes", "moves"])


def test_pages_take_labels(owner, by, does, tmp_path):
    """As Airflow's pages do."""
    _, key = names(owner)
    (tmp_path / "labels.csv").write_text(f"key,label\n{key},no_auto\n")
    by("pages")
    does(["labels", "import", tmp_path / "labels.csv", "--by", "page"])


def test_reviewers_publish_and_go_back(owner, by, does):
    model = publish(owner, Tiny().files(), tag="reviewed").key.split("/")[2]
    by("reviewer")
    does(["weights", "promote", "classifier", model], ["weights", "rollback", "classifier"])


def test_tasks_make_a_dataset_and_keep_no_checkpoint(owner, by):
    session = by("tasks")()
    chain.prepare_dataset(session, now=lambda: "2026-03-01T01:00:00Z", progress=lambda stage, done: None)
    run = TrainingRun(session.store, "runs/train/mine")
    session.store.put("runs/train/mine/checkpoint.tar", b"x")
    run.forget_checkpoint()


def test_the_doctor_mends(owner, by, does):
    lost = next(info.key for info in owner.store.list_objects("datasets") if info.key.endswith("report.html"))
    owner.store.delete([lost])
    by("doctor")
    main(["doctor", "--mend"])  # others may have broken something before
    assert owner.store.head(lost)


def test_keepers_clean_up_and_forget(owner, by, does):
    listing, _ = names(owner)
    by("keeper")
    does(["forget", "--listing", listing], ["gc", "--older-than", "0d"])


def test_the_policy_is_printed_for_the_bucket_of_the_settings(monkeypatch, capsys):
    for name in ("CARPIPE_STORE", "CARPIPE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    assert main(["policy", "app"]) == 1
    assert "Say of which bucket: set CARPIPE_STORE" in capsys.readouterr().err
    monkeypatch.setenv("CARPIPE_STORE", "s3://my-bucket/cars")
    assert main(["policy", "uploader"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"arn:aws:s3:::my-bucket/cars/raw/*"} < {
        one
        for part in found["Statement"]
        for one in ([part["Resource"]] if isinstance(part["Resource"], str) else part["Resource"])
    }
    assert policy("reader", "s3://my-bucket")["Statement"][1]["Resource"] == ["arn:aws:s3:::my-bucket/*"]
    with pytest.raises(InputError, match="There is no role 'x'; there are app, api"):
        policy("x", "s3://my-bucket")


def test_the_docs_name_each_role_with_its_rights():
    rows = {}
    for line in (Path(__file__).parents[1] / "docs" / "operating.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 5 and cells[0].strip("`") in ROLES:
            rows[cells[0].strip("`")] = cells[2:]
    assert rows.keys() == ROLES.keys()

    def told(prefixes):
        if "" in prefixes:
            return "all"
        return ", ".join(f"`{one}`" for one in prefixes if one != PROBE) or "nothing"

    assert rows == {name: [told(one.reads), told(one.writes), told(one.deletes)] for name, one in ROLES.items()}
