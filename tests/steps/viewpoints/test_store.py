"""View labels: kept append-only, the latest counts, and a file with a mistake adds nothing."""

import pytest

from carpipe.cli import main
from carpipe.errors import InputError
from carpipe.steps.labels.store import import_labels
from carpipe.steps.viewpoints import store
from carpipe.steps.viewpoints.store import FOLDER, current_views, export_views, import_views

AT = "2026-01-01T00:00:00Z"
PHOTO, OTHER = "audi_a3_2001/1_1_a.jpg", "audi_a3_2001/1_2_b.jpg"


def csv(*rows):
    return "\n".join(["key,view", *(",".join(row) for row in rows)]).encode()


def views(session):
    return {key: label.view for key, label in current_views(session).items()}


def test_the_latest_view_counts_and_nothing_comes_twice(session):
    done = import_views(session, csv((PHOTO, "front"), (OTHER, "in")), at=AT, by="ann")
    assert (done.added, done.key.startswith(f"{FOLDER}/")) == (2, True)
    assert import_views(session, csv((PHOTO, "front"), (OTHER, "in")), at=AT, by="ann").added == 0
    import_views(session, csv((f"raw/{PHOTO}", "back")), at="2026-01-02T00:00:00Z", by="bob")
    assert views(session) == {PHOTO: "back", OTHER: "in"}
    assert "front" in store.describe_conflicts(session)
    assert "2 photos have a view" in store.describe_views(session)


def test_a_published_table_can_be_imported_as_it_is(session):
    table = b"key,view,label,vehicle\n" + f"{PHOTO},cover,auto,c1\n{OTHER},d,no_auto,c1\n".encode()
    done = import_views(session, table, at=AT)
    assert (done.added, done.undecided) == (1, 1)
    assert views(session) == {OTHER: "d"}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([(PHOTO, "front"), (OTHER, "side")], "Line 3 of the view labels says 'side'; known are angle-front-on-left"),
        ([("/etc/passwd", "front")], "Line 2 of the view labels has the key '/etc/passwd', which is absolute"),
        ([(PHOTO, "")], "no row has a view"),
    ],
)
def test_a_file_with_a_mistake_adds_nothing(session, rows, said):
    with pytest.raises(InputError, match=said):
        import_views(session, csv(*rows), at=AT)
    assert views(session) == {}


def test_what_is_exported_can_be_imported(session, tmp_path):
    import_views(session, csv((PHOTO, "front"), (OTHER, "in")), at=AT, by="ann")
    file = tmp_path / "all.csv"
    assert export_views(session, file) == 2
    assert import_views(session, file.read_bytes(), at=AT).added == 0
    with pytest.raises(InputError, match="may hold view labels"):
        export_views(session, file)
    with pytest.raises(InputError, match=r"ends in \.csv"):
        export_views(session, tmp_path / "all.json")


def test_no_labels_is_a_sentence_that_says_what_to_do(session, tmp_path):
    with pytest.raises(InputError, match="--views"):
        export_views(session, tmp_path / "all.csv")


def test_a_label_set_of_the_car_filter_keeps_its_place(make_session):
    session = make_session(car_filter__labels="views")
    with pytest.raises(InputError, match="holds labels of the car filter"):
        import_views(session, csv((PHOTO, "front")), at=AT)
    assert views(session) == {}


def test_the_command_imports_views(session, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CARPIPE_STORE", session.store.url)
    file = tmp_path / "views.csv"
    file.write_bytes(csv((PHOTO, "front")))
    assert main(["labels", "import", str(file), "--views"]) == 0
    assert "1 label added as labels/views/" in (said := capsys.readouterr().out)
    assert "1 of the file's labels matches no photo" in said
    assert main(["labels", "status", "--views"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("1 photo has a view:\n")
    assert "Each view needs some 30 photos of 20 cars before it is learnt" in said
    assert "1 of them is not under raw/; its label counts once it is there" in said


def test_without_any_the_status_is_a_sentence_and_no_error(session, monkeypatch, capsys):
    monkeypatch.setenv("CARPIPE_STORE", session.store.url)
    for more in ([], ["--views"]):
        assert main(["labels", "status", *more]) == 0
        assert "; add some with `carpipe labels import <file>" in capsys.readouterr().out


def test_views_take_any_case(session):
    import_views(session, csv((PHOTO, "Front"), (OTHER, "COVER")), at=AT)
    assert views(session) == {PHOTO: "front"}


def test_a_file_of_another_kind_says_how_it_is_imported(session):
    with pytest.raises(InputError, match=r"found key, label\. Labels of cars are imported without `--views`"):
        import_views(session, b"key,label\na/1.jpg,auto\n", at=AT)
    with pytest.raises(
        InputError, match=r"found key, view\. View labels are imported with `carpipe labels import <file> -"
    ):
        import_labels(session, csv((PHOTO, "front")), at=AT)
