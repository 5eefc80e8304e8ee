"""What people hand in: CSVs of spreadsheets, exports of Label Studio, and files that are none of it."""

import csv
import io
import json
import unicodedata
from datetime import UTC, datetime

import pytest

from carpipe.errors import InputError
from carpipe.steps.labels.files import parse_labels, to_csv
from carpipe.steps.labels.rows import Label
from carpipe.steps.labels.store import label_studio

PHOTO = "audi_a3_2001/1_1_a.jpg"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

# As documented at https://labelstud.io/guide/task_format, with choices in the place of boxes.
EXPORT = """[{
  "id": 1, "created_at": "2021-03-09T21:52:49.513742Z", "updated_at": "2021-03-09T22:16:08.746926Z", "project": 83,
  "data": {"image": "https://example.com/opensource/label-studio/1.jpg", "key": "audi_a3_2001/1_1_a.jpg"},
  "annotations": [{
    "id": "1001",
    "result": [{"from_name": "car", "id": "Dx_aB91ISN", "to_name": "photo", "type": "choices", "origin": "manual",
                "value": {"choices": ["no_auto"]}}],
    "was_cancelled": false, "ground_truth": false,
    "created_at": "2021-03-09T22:16:08.728353Z", "updated_at": "2021-03-09T22:16:08.728378Z",
    "lead_time": 4.288, "result_count": 0, "task": 1, "completed_by": 10
  }],
  "predictions": [{"model_version": "model 1", "result": [{"from_name": "car", "to_name": "photo", "type": "choices",
                   "value": {"choices": ["auto"]}}], "score": 0.8}]
}]"""


def csv_of(*lines):
    return "\n".join(lines).encode()


def tasks(*annotations, **task):
    """An export of one task, number 7."""
    return json.dumps([{"id": 7, "data": {"key": PHOTO}, "annotations": list(annotations), **task}]).encode()


def said(label, **more):
    return {"result": [{"type": "choices", "value": {"choices": [label]}}], **more}


def refused(data):
    with pytest.raises(InputError) as error:
        parse_labels(data)
    return str(error.value)


def test_a_csv_of_keys_and_labels():
    found = parse_labels(csv_of("key,label", f"{PHOTO},auto", "b_c_2002/2.jpg,no_auto", "b_c_2002/3.jpg,"))

    assert found.said == [Label(PHOTO, "auto"), Label("b_c_2002/2.jpg", "no_auto")]
    assert found.undecided == 1


def test_who_and_when_are_read_where_the_csv_says_it():
    found = parse_labels(
        csv_of("at,by,key,label,note", f"2026-03-01T13:00:00+01:00,Zoë,{PHOTO},auto,sure", f",,{PHOTO},auto,")
    )

    assert found.said == [Label(PHOTO, "auto", "Zoë", NOON), Label(PHOTO, "auto")]


def test_a_time_without_a_zone_is_utc():
    assert parse_labels(csv_of("key,label,at", f"{PHOTO},auto,2026-03-01 12:00")).said[0].at == NOON


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_what_a_spreadsheet_saves_otherwise_comes_back_as_it_was(separator):
    labels = [Label(name, "auto", by, NOON) for name, by in (("a;=1/1.jpg", "=1;+2"), ("a|-1/'1.jpg", "x|@y"))]
    rows = csv.reader(io.StringIO(to_csv(labels).decode(), newline=""))

    saved = io.StringIO(newline="")
    csv.writer(saved, delimiter=separator).writerows(rows)

    assert "a;'=1/1.jpg" in saved.getvalue()
    assert parse_labels(saved.getvalue().encode()).said == labels


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_spreadsheets_csv_with_mark_and_other_separators(separator):
    text = f"\ufeffkey,label\r\n\r\nraw/{PHOTO},auto \r\n".replace(",", separator)

    assert parse_labels(text.encode()).said == [Label(PHOTO, "auto")]


def test_a_decomposed_name_is_the_composed_key():
    name = "citroën_c3_2010/1.jpg"

    assert parse_labels(csv_of("key,label", f"{unicodedata.normalize('NFD', name)},auto")).said[0].key == name


def test_an_export_of_label_studio_counts_annotations_and_not_predictions():
    [label] = parse_labels(EXPORT.encode()).said

    assert label == Label(PHOTO, "no_auto", "user 10", datetime(2021, 3, 9, 22, 16, 8, 728378, tzinfo=UTC))


def test_skipped_and_empty_annotations_are_nobodys_decision():
    found = parse_labels(
        json.dumps(
            [
                {"id": 1, "data": {"key": "a/1.jpg"}, "annotations": [said("auto", was_cancelled=True)]},
                {"id": 2, "data": {"key": "a/2.jpg"}, "annotations": [{"result": [], "was_cancelled": False}]},
                {"id": 3, "data": {"key": "a/3.jpg"}, "annotations": []},
                {"id": 4, "data": {"key": "a/4.jpg"}, "predictions": [said("auto")]},
            ]
        ).encode()
    )

    assert (found.said, found.undecided) == ([], 4)


@pytest.mark.parametrize(
    ("person", "by"),
    [
        (3, "user 3"),
        ({"id": 3, "email": "a@example.com"}, "a@example.com"),
        ({"id": 3}, "user 3"),
        ("ann", "ann"),
        (None, ""),
    ],
)
def test_label_studio_names_people_in_several_ways(person, by):
    assert parse_labels(tasks(said("auto", completed_by=person))).said == [Label(PHOTO, "auto", by)]


def test_two_people_may_say_different_things_of_a_task():
    found = parse_labels(tasks(said("auto", completed_by=1), said("no_auto", completed_by=2))).said

    assert [(label.label, label.by) for label in found] == [("auto", "user 1"), ("no_auto", "user 2")]


def test_a_task_from_the_bucket_is_known_by_the_images_address():
    data = {"image": f"s3://bucket/some/prefix/raw/{PHOTO}"}

    assert parse_labels(tasks(said("auto"), data=data)).said == [Label(PHOTO, "auto")]


def test_a_written_csv_reads_back_as_it_was():
    labels = [Label('a_b_2001/x,"y; z.jpg', "auto", "Ann, B.", NOON.replace(microsecond=5)), Label(PHOTO, "no_auto")]

    assert parse_labels(to_csv(labels)).said == labels


def test_written_tasks_read_back_as_they_were_even_from_label_studio():
    label = Label(PHOTO, "auto", "ann", NOON)
    [task] = [label_studio.write_task(PHOTO, "s3://b/raw/x.jpg", label)]

    assert parse_labels(label_studio.to_json([task])).said == [label]
    # What Label Studio adds to a task that nobody touched, and to one that somebody skipped.
    assert parse_labels(label_studio.to_json([{**task, "id": 4, "annotations": []}])).said == [label]
    assert parse_labels(
        label_studio.to_json([{**task, "annotations": [said("no_auto", was_cancelled=True)]}])
    ).said == [label]


def test_a_task_that_was_labelled_anew_says_both():
    task = label_studio.write_task(PHOTO, "s3://b/raw/x.jpg", Label(PHOTO, "auto", "ann", NOON))

    found = parse_labels(label_studio.to_json([{**task, "annotations": [said("no_auto", completed_by=2)]}])).said

    assert {(label.label, label.by) for label in found} == {("auto", "ann"), ("no_auto", "user 2")}


def test_predictions_fit_the_labelling_interface_of_the_page_on_labels():
    from pathlib import Path
    from xml.etree import ElementTree

    page = (Path(__file__).parents[3] / "docs" / "train-the-car-filter.md").read_text(encoding="utf-8")
    view = ElementTree.fromstring(page[page.index("<View>") : page.index("</View>") + len("</View>")])
    task = label_studio.write_task(PHOTO, "s3://b/raw/x.jpg", Label(PHOTO, "auto"))
    [result] = task["predictions"][0]["result"]

    choices, image = view.find("Choices"), view.find("Image")
    assert (result["from_name"], result["to_name"]) == (choices.get("name"), choices.get("toName"))
    assert (choices.get("toName"), image.get("value")) == (image.get("name"), "$image")
    assert [choice.get("value") for choice in choices] == ["auto", "no_auto"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (csv_of("photo,kind", "a,b"), "need the columns key and label; found photo, kind"),
        (csv_of("key,kind"), "need the columns key and label; found key, kind"),
        (csv_of("key,label", f"{PHOTO},car"), "Line 2 of the labels says 'car'; known are auto, no_auto"),
        (csv_of("key,label", "", f"{PHOTO},AUTOS"), "Line 3 of the labels says 'AUTOS'"),
        (csv_of("key,label", f"{PHOTO},auto,no_auto"), "Line 2 of the labels has more fields than there are columns"),
        (csv_of("key,label,at", f"{PHOTO},auto,01.03.2026"), "Line 2 of the labels has the time '01.03.2026'; exp"),
        (csv_of("key,label,at", f"{PHOTO},auto,0001-01-01T00:00+14:00"), "Line 2 of the labels has the time"),
        (csv_of("key,label,by", f"{PHOTO},auto,{'x' * 201}"), "expected a name of 200 characters at most"),
        (csv_of("key,label,by", f"{PHOTO},auto,a\x07"), "Line 2 of the labels is by 'a\\x07'"),
        (csv_of("key,label", f'"{"x" * 140_000}",auto'), "The labels are not CSV: line 2, field larger than"),
        ("key,label\ncitroën,auto".encode("latin-1"), "not in UTF-8 (byte 15) in line 2"),
        ("key,label\r\na,auto\r\nb\xe9,auto".encode("latin-1"), "in line 3"),
        ("\ufeffkey,label\n".encode() + b"\xff,auto", "in line 2"),
        ("key,label\na,auto".encode("utf-16"), "not in UTF-8"),
        (b"[{", "begin like JSON but are none"),
        (b"[" * 100_000, "begin like JSON but are none"),
        (b'{"data": {}}', "no list of tasks"),
        (b"[3]", "Task number 1 of the labels is not as Label Studio's export `JSON` writes it"),
        (b'[{"id": 7}]', "Task 7 of the labels is not as Label Studio's export `JSON` writes it: data: Field required"),
        (tasks(data={"image": "/data/upload/1.jpg"}), "Task 7 of the labels does not say which photo it is about"),
        (tasks({"result": 5}), "annotations.0.result: Input should be a valid list"),
        (tasks(said("car")), "Task 7 of the labels says 'car'; known are auto, no_auto"),
        (tasks(said("auto", updated_at="soon")), "Task 7 of the labels has the time 'soon'"),
        (tasks({"result": [*said("auto")["result"], *said("no_auto")["result"]]}), "says 'auto' and 'no_auto' at once"),
        (tasks(meta={"carpipe": {"by": "ann"}}), "Task 7 of the labels is not as"),
        (tasks(said("auto"), data={"key": "a/\ud800.jpg"}), "holds control characters"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_refused_by_line_or_task(data, message):
    assert message in refused(data)


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("", "is empty"),
        ("../secret.jpg", "has empty, `.` or `..` parts"),
        ("a_b_2001/../../x.jpg", "has empty, `.` or `..` parts"),
        ("a//b.jpg", "has empty, `.` or `..` parts"),
        ("/etc/passwd", "is absolute"),
        ("raw//etc/passwd", "is absolute"),
        ("a\x00b.jpg", "holds control characters"),
        ("a/\x1b[31m.jpg", "holds control characters"),
        (f"a/{'ü' * 600}.jpg", "is longer than the 1,024 bytes that S3 allows"),
    ],
)
def test_hostile_keys_are_refused_in_both_formats(key, fault):
    message = refused(csv_of("key,label", f"{PHOTO},auto", f"{key},auto"))
    assert message.startswith("Line 3 of the labels has the key")
    assert fault in message
    assert len(message) < 300
    assert fault in refused(tasks(said("auto"), data={"key": key}))
