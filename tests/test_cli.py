"""The commands: help that reads, results on stdout, and bad input answered in one sentence with exit code 1."""

import json
import re
import subprocess
import sys
import uuid

import pytest

from carpipe.cli import main, make_parser
from carpipe.cli.run import compare_command
from carpipe.sample import draw_world
from carpipe.steps.models.gate import Verdict


@pytest.fixture
def store(s3, monkeypatch):
    """A bucket prefix that commands find in the environment."""
    url = f"s3://{s3.bucket}/{uuid.uuid4().hex[:12]}"
    monkeypatch.setenv("CARPIPE_STORE", url)
    monkeypatch.delenv("CARPIPE_CONFIG", raising=False)
    return url


def fails(capsys, *arguments):
    """Run a command that must fail; returns the one line it says."""
    assert main(["--quiet", *arguments]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    message = [line for line in said.err.splitlines() if line.startswith("carpipe: ")]
    assert len(message) == 1, said.err
    return message[0]


def photo_name(listing=1):
    return f"audi_a3_2001/{listing}_1_{uuid.uuid4()}_{uuid.uuid4()}.jpg"


def put(folder, name, data=b"x"):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return folder


def help_of(capsys, *arguments):
    with pytest.raises(SystemExit) as done:
        main([*arguments, "--help"])
    assert done.value.code == 0
    return capsys.readouterr().out


def test_help_lists_every_command(capsys):
    text = help_of(capsys)
    data = ("run", "sample", "upload", "labels", "plan", "forget", "gc", "config", "funnel", "report", "export")
    for name in (*data, "datasets", "photo"):
        assert f"    {name} " in text
    for name in ("classes", "listings", "weights", "serve", "candidates", "step"):
        assert f"    {name} " in text


def test_help_lists_every_step(capsys):
    text = help_of(capsys, "step")
    for name in ("inventory", "clean", "filter", "crop", "identify", "classes", "split", "validate", "pack", "dataset"):
        assert f"    {name}" in text
    for name in ("label-set", "train", "evaluate", "package", "gate", "publish"):
        assert f"    {name}" in text


@pytest.mark.parametrize(
    "command",
    [
        ("weights", "compare", "classifier", "0" * 20),
        ("step", "learning_curve", "datasets/x/manifest.json"),
        ("listings", "suspects"),
        ("classes", "advise"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_said_before_any_work(command, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("CARPIPE_STORE", "s3://no-bucket-of-that-name")
    assert f"there is no folder {tmp_path / 'none'}" in fails(capsys, *command, "--out", str(tmp_path / "none" / "x"))
    assert "is a folder; name a file in it" in fails(capsys, *command, "--out", str(tmp_path))


@pytest.mark.parametrize("command", [("listings", "suspects"), ("classes", "advise")])
def test_a_file_that_may_hold_work_is_not_overwritten(command, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("CARPIPE_STORE", "s3://no-bucket-of-that-name")
    (tmp_path / "mine").write_text("mine")
    assert "mine exists, and may hold" in fails(capsys, *command, "--out", str(tmp_path / "mine"))
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_run_ends_with_the_command_that_compares_its_model():
    models = [f"models/classifier/{name * 20}/manifest.json" for name in "ab"]
    verdict = Verdict("refuse", "classifier", *models, 3, "k", "r", "t", compared=True)
    command = compare_command(verdict).split()
    assert command == [
        "carpipe", "weights", "compare", "classifier", "a" * 20, "--with", "b" * 20, "--out", "comparison.html",
    ]  # fmt: skip
    assert make_parser().parse_args(command[1:]).other == "b" * 20


def test_an_unknown_setting_names_the_known_ones(store, capsys):
    assert "known are taxonomy, min_photos" in fails(capsys, "--set", "classes.min=3", "step", "inventory")


def test_a_missing_folder(store, capsys, tmp_path):
    assert "There is no folder" in fails(capsys, "upload", str(tmp_path / "none"))


def test_a_folder_without_photos(store, capsys, tmp_path):
    assert "There are no photos in" in fails(capsys, "upload", str(tmp_path))


def test_an_empty_bucket(store, capsys):
    assert "There are no photos under raw/" in fails(capsys, "step", "inventory")


def test_names_that_are_not_in_the_layout(store, capsys, tmp_path):
    assert main(["upload", str(put(tmp_path, "cars/photo.jpg"))]) == 0
    capsys.readouterr()

    assert "None of the 1 names under raw/" in fails(capsys, "step", "inventory")


def test_no_labels(store, capsys):
    assert "add some with `carpipe labels import <file>`" in fails(capsys, "step", "label-set")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"photo,kind\na,b\n", "need the columns key and label; found photo, kind"),
        (b"key,label\na.jpg,car\n", "Line 2 of the labels says 'car'; known are auto, no_auto"),
        (b"key,label\na.jpg,\n", "no row has a label"),
        (b"", "no row has a label"),
        (b"\xff\xfe\x00", "not in UTF-8"),
    ],
)
def test_labels_that_cannot_be_read(store, capsys, tmp_path, content, message):
    put(tmp_path, "labels.csv", content)

    assert message in fails(capsys, "labels", "import", str(tmp_path / "labels.csv"))


def test_help_lists_what_can_be_done_with_labels(capsys):
    text = help_of(capsys, "labels")
    for name in ("import", "export", "sample", "conflicts", "status"):
        assert f"    {name} " in text.replace("\n", " ")


def test_labels_go_in_once_and_come_out(store, capsys, tmp_path):
    put(tmp_path, "labels.csv", b"key,label\na/1.jpg,auto\na/2.jpg,\n")

    assert main(["labels", "import", str(tmp_path / "labels.csv"), "--by", "ann"]) == 0
    assert re.fullmatch(
        r"1 label added as labels/car-filter/\S+\.csv; 1 photo is not decided\n"
        r"1 of the file's labels matches no photo under raw/; it counts once there is one\n",
        capsys.readouterr().out,
    )
    assert main(["labels", "import", str(tmp_path / "labels.csv"), "--by", "ann"]) == 0
    assert "nothing added: the file is there already as labels/" in capsys.readouterr().out
    assert main(["labels", "export", str(tmp_path / "out.csv")]) == 0
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith("a/1.jpg,auto,ann,20")
    assert main(["labels", "import", str(tmp_path / "out.csv")]) == 0
    assert "nothing added: all is known" in capsys.readouterr().out
    assert main(["labels", "status"]) == 0
    said = capsys.readouterr().out
    assert "1 photo is labelled: 1 auto, 0 no_auto" in said
    assert "1 of them is not under raw/; its label counts once it is there" in said
    assert main(["labels", "conflicts"]) == 0
    assert capsys.readouterr().out == "No photo was given different labels.\n"


def test_a_sample_is_not_drawn_over_labels(store, capsys, tmp_path):
    put(tmp_path, "labels.csv", b"key,label\na/1.jpg,auto\n")

    assert "may hold labels" in fails(capsys, "labels", "sample", str(tmp_path / "labels.csv"))


def test_a_sample_of_a_bucket_without_inventory(store, capsys, tmp_path):
    assert "run `carpipe step inventory`" in fails(capsys, "labels", "sample", str(tmp_path / "todo.csv"))


@pytest.mark.parametrize("count", ["0", "-3", "some"])
def test_a_sample_of_no_photos(store, capsys, tmp_path, count):
    with pytest.raises(SystemExit):
        main(["labels", "sample", str(tmp_path / "todo.csv"), f"--count={count}"])
    assert "expected a number of photos, at least 1" in capsys.readouterr().err


def test_a_sample_to_label_studio_by_the_name_of_its_file(store, capsys, tmp_path):
    name = photo_name()
    main(["upload", str(put(tmp_path / "photos", name))])
    main(["step", "inventory"])

    assert main(["labels", "sample", str(tmp_path / "todo.json"), "--photos", str(tmp_path / "todo")]) == 0
    assert "1 photo to label written to" in capsys.readouterr().out
    [task] = json.loads((tmp_path / "todo.json").read_text())
    assert task["data"] == {"key": name, "image": f"/data/local-files/?d=todo/{name}"}
    assert (tmp_path / "todo" / name).read_bytes() == b"x"


def test_a_missing_labels_file(store, capsys, tmp_path):
    assert "No such file" in fails(capsys, "labels", "import", str(tmp_path / "none.csv"))


def test_labels_that_match_no_photo(store, capsys, tmp_path):
    put(tmp_path, "labels.csv", f"key,label\n{photo_name()},auto\n".encode())
    assert main(["labels", "import", str(tmp_path / "labels.csv")]) == 0
    capsys.readouterr()

    assert "match no photo under raw/" in fails(capsys, "step", "label-set")


def test_too_few_labels(store, capsys, tmp_path):
    world = draw_world(tmp_path / "world", seed=3, listings=3)
    main(["upload", str(world.raw)])
    labels = [row for row in world.photos if row.expect == "keep" and row.label == "auto" and row.kind == "original"]
    rows = "".join(f"{row.key},auto\n" for row in labels)
    put(tmp_path, "labels.csv", f"key,label\n{rows}".encode())
    main(["labels", "import", str(tmp_path / "labels.csv")])
    capsys.readouterr()

    assert "too few photos labelled no_auto" in fails(capsys, "step", "label-set")


def test_no_car_filter_yet(store, capsys, tmp_path):
    main(["upload", str(put(tmp_path, photo_name()))])
    capsys.readouterr()

    assert "The channel car-filter has no weights yet; run `train_filter` first" in fails(capsys, "plan")


def test_a_listing_that_is_not_there(store, capsys):
    assert "There is no photo of listing" in fails(capsys, "forget", "--listing", str(uuid.uuid4()))


def test_a_listing_that_is_no_uuid(store, capsys):
    assert "'1813' is no listing uuid" in fails(capsys, "forget", "--listing", "1813")


def test_an_age_that_is_none(store, capsys):
    with pytest.raises(SystemExit):
        main(["gc", "--older-than", "soon"])
    assert "expected hours or days, such as 12h or 7d, got 'soon'" in capsys.readouterr().err


def test_garbage_of_an_empty_bucket(store, capsys):
    assert main(["gc", "--dry-run"]) == 0
    assert capsys.readouterr().out == "0 objects, 0.0 MB are garbage; 0 are in use, 0 are too young to tell\n"


def test_a_taxonomy_without_data(store, capsys):
    assert main(["classes", "check", "--offline", "published"]) == 0
    assert capsys.readouterr().out == "Nothing found.\n"


def test_a_taxonomy_with_faults(store, capsys, tmp_path):
    put(tmp_path, "mine.yaml", b"version: 1\nclasses:\n  a: [b_c]\n  d: [b_c]\n")

    assert main(["--quiet", "classes", "check", "--offline", str(tmp_path / "mine.yaml")]) == 1
    assert "'b_c' has two rules" in capsys.readouterr().err


@pytest.mark.parametrize(("faults", "told"), [(1, "1 error."), (2, "2 errors.")])
def test_faults_of_a_taxonomy_are_counted(store, monkeypatch, capsys, faults, told):
    monkeypatch.setattr("carpipe.steps.data.taxonomy.check_taxonomy", lambda *_, **__: ("error  x", faults))
    assert main(["classes", "check", "--offline", "published"]) == 1
    assert f"The taxonomy does not fit: {told}" in capsys.readouterr().err


def test_the_published_taxonomy_can_be_printed_and_used(store, capsys, tmp_path):
    assert main(["classes", "show", "published"]) == 0
    put(tmp_path, "mine.yaml", capsys.readouterr().out.encode())

    assert main(["classes", "check", "--offline", str(tmp_path / "mine.yaml")]) == 0


def test_no_dataset_to_list(store, capsys):
    assert "There is no dataset" in fails(capsys, "datasets")


def test_no_dataset_yet(store, capsys):
    assert "There is no dataset" in fails(capsys, "funnel")


def test_a_key_that_is_nothing(store, capsys):
    assert "There is no object stages/none" in fails(
        capsys, "step", "clean", "stages/none/manifest.json", "--inventory", "x"
    )


def test_a_model_that_is_not_there(store, capsys):
    assert "There is no model models/none/manifest.json; `carpipe weights list classifier`" in fails(
        capsys, "weights", "promote", "classifier", "models/none/manifest.json"
    )


def test_a_model_by_an_id_that_is_none(store, capsys):
    message = fails(capsys, "weights", "show", "classifier", "0" * 20)
    assert f"There is no model models/classifier/{'0' * 20}/manifest.json" in message


def test_a_model_by_digits_that_no_id_begins_with(store, capsys):
    message = fails(capsys, "weights", "show", "classifier", "0123")
    assert message == f"carpipe: No id of a model in {store} begins with 0123; there is no model at all."


def test_a_channel_that_was_never_published_to(store, capsys):
    assert "There are no models for channel clasifier; the channels are classifier and car-filter" in fails(
        capsys, "weights", "list", "clasifier"
    )


def test_a_channel_without_models_is_no_error(store, capsys):
    assert main(["weights", "list", "classifier"]) == 0
    assert "Channel classifier has no models yet." in capsys.readouterr().out


def test_a_channel_with_nothing_to_go_back_to(store, capsys):
    assert "Channel classifier has no earlier model to go back to" in fails(capsys, "weights", "rollback", "classifier")


def test_a_channel_where_nothing_is_live(store, capsys):
    assert "Nothing is live in channel classifier" in fails(capsys, "weights", "show", "classifier")


def test_a_package_that_is_not_installed_is_named_with_what_brings_it():
    code = "import sys; sys.modules['flask'] = None; from carpipe.cli import main; sys.exit(main(['serve']))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith("carpipe: This needs the package flask, which is not installed here.")
    assert "[serving]" in done.stderr
    assert "Traceback" not in done.stderr
