"""Which photos people are asked to label, and where these go on their disks."""

import csv
import json
import time
import uuid
from collections import Counter
from urllib.parse import parse_qs, urlsplit

import pytest
from scipy.stats import chisquare

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.manifest import Work
from carpipe.photos import to_parquet
from carpipe.steps import results
from carpipe.steps.data.inventory import FORGOTTEN, inventory, latest_inventory
from carpipe.steps.labels.questions import VIEWS
from carpipe.steps.labels.sampling import local_name, sample, write_sample
from carpipe.steps.labels.store import import_labels
from carpipe.steps.viewpoints.store import import_views

AT = "20260101T000000Z"


def photo_name(folder="audi_a3_2001"):
    return f"{folder}/1_1_{uuid.uuid4()}_{uuid.uuid4()}.jpg"


def add_photos(session, count, folder="audi_a3_2001"):
    names = [photo_name(folder) for _ in range(count)]
    for name in names:
        session.store.put(f"raw/{name}", name.encode())
    inventory(session)
    return sorted(names)


def label(session, *keys):
    import_labels(session, "\n".join(["key,label", *(f"{key},auto" for key in keys)]).encode(), at=AT)


def commit_scores(session, part, score, views=None, **config):
    """A result of `filter` as the stage leaves it: rows that were dropped before have no score."""
    photos = results.read_photos(session.store, manifest.read(session.store, part["manifest"]))
    photos = photos.assign(p_car=photos["key"].map(score))
    photos.loc[photos["p_car"] < 0.7, ["dropped", "dropped_by"]] = ["not_a_car", "filter"]
    if views:
        photos = photos.assign(view="front", view_p=photos["key"].map(views))
    work = Work("filter", 1, part["partition"], {**config, "views": bool(views)}, (part["manifest"],))
    return manifest.commit(session.store, work, {results.PHOTOS: to_parquet(photos)}, counts={})


def random(session, count, seed=0):
    return sample(session, count, how="random", seed=seed)


def unsure(session, count, seed=0):
    return sample(session, count, how="unsure", seed=seed)


def test_a_random_sample_holds_what_can_be_labelled_and_nothing_else(session):
    names = add_photos(session, 7)
    deleted, forgotten, labelled, *rest = names
    overwritten = rest[0]
    session.store.put("raw/audi_a3_2001/holiday.jpg", b"x")
    session.store.delete([f"raw/{deleted}"])
    session.store.put(f"raw/{overwritten}", b"another photo")
    inventory(session)
    session.store.put(f"{FORGOTTEN}/{forgotten.split('_')[-2]}.json", b"{}")
    label(session, labelled)

    assert sorted(random(session, 100)) == sorted(rest)


def test_a_sample_is_equal_for_equal_seeds_and_goes_on_where_labels_end(session):
    add_photos(session, 20)

    first = random(session, 12, seed=3)
    assert random(session, 5, seed=3) == first[:5]
    assert random(session, 12, seed=4) != first
    label(session, *first[:5])
    assert random(session, 7, seed=3) == first[5:]


def test_a_random_sample_is_uniform(session):
    names = add_photos(session, 8)

    drawn = Counter(key for seed in range(60) for key in random(session, 2, seed=seed))

    assert set(drawn) == set(names)
    assert chisquare([drawn[name] for name in names]).pvalue > 1e-3


def test_unsure_photos_are_those_nearest_to_the_threshold_on_either_side(make_session):
    session = make_session(filter__threshold=0.7)
    a, b, c, d, e = add_photos(session, 5)
    scores = {a: 0.99, b: 0.72, c: 0.69, d: 0.05, e: None}
    commit_scores(session, latest_inventory(session).partitions[0], scores.get)

    assert unsure(session, 3) == [c, b, a]
    assert unsure(make_session(filter__threshold=0.1), 1) == [d]
    assert unsure(session, 100) == [c, b, a, d]
    label(session, c, a)
    assert unsure(session, 2) == [b, d]


def test_for_views_cars_come_first_as_people_say_or_else_the_filter(session):
    a, b, c, d = add_photos(session, 4)
    commit_scores(session, latest_inventory(session).partitions[0], {a: 0.9, b: 0.9, c: 0.1, d: 0.1}.get)
    new = add_photos(session, 1, folder="bmw_3_2001")  # not filtered yet
    import_labels(session, f"key,label\n{b},no_auto\n{c},auto".encode(), at=AT)
    import_views(session, f"key,view\n{a},front".encode(), at=AT)

    drawn = sample(session, 100, how="cars", seed=0, question=VIEWS)
    assert drawn[0] == c
    assert sorted(drawn[1:]) == sorted([b, d, *new])


def test_the_filter_is_unsure_of_views_whose_likeliest_is_little_likely(session):
    a, b, c = add_photos(session, 3)
    part = latest_inventory(session).partitions[0]
    commit_scores(session, part, {a: 0.9, b: 0.9, c: 0.1}.get)
    with pytest.raises(InputError, match="No filter has told views yet"):
        sample(session, 3, how="unsure", seed=0, question=VIEWS)

    time.sleep(1.1)  # the server's times are whole seconds
    commit_scores(session, part, {a: 0.9, b: 0.9, c: 0.1}.get, views={a: 0.8, b: 0.4, c: 0.6})
    assert sample(session, 2, how="unsure", seed=0, question=VIEWS) == [b, c]


def test_unsure_goes_by_the_newest_results_and_by_photos_that_are_there(session):
    a, b = add_photos(session, 2)
    part = latest_inventory(session).partitions[0]
    commit_scores(session, part, {a: 0.7, b: 0.1}.get, weights="old")
    time.sleep(1.1)  # the server's times are whole seconds
    commit_scores(session, part, {a: 0.1, b: 0.7}.get, weights="new")
    add_photos(session, 3)  # not filtered yet

    assert unsure(session, 100) == [b, a]
    session.store.delete([f"raw/{b}"])
    inventory(session)
    assert unsure(session, 100) == [a]


def test_equally_unsure_photos_are_drawn_by_seed(session):
    names = add_photos(session, 12)
    commit_scores(session, latest_inventory(session).partitions[0], dict.fromkeys(names, 0.5).get)

    assert unsure(session, 12, seed=1) == unsure(session, 12, seed=1) != unsure(session, 12, seed=2)


def test_what_cannot_be_drawn_says_what_to_do(session):
    with pytest.raises(InputError, match="There is no inventory of raw/ yet; run `carpipe step inventory`"):
        random(session, 1)
    names = add_photos(session, 1)
    with pytest.raises(InputError, match="Nothing was filtered yet"):
        unsure(session, 1)
    label(session, *names)
    with pytest.raises(InputError, match="no photo left to label"):
        random(session, 1)


def test_a_csv_to_fill_in(session, tmp_path):
    keys = ['a_b_2001/x,"y.jpg', "citroën_c3_2010/1.jpg"]

    assert write_sample(session, tmp_path / "todo.csv", keys, file_format="csv", photos=None) == 2

    with (tmp_path / "todo.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["key", "label"], *([key, ""] for key in keys)]


def test_tasks_for_label_studio_refer_to_the_bucket(session, tmp_path):
    write_sample(session, tmp_path / "todo.json", ["a_b_2001/1.jpg"], file_format="label-studio", photos=None)

    image = f"{session.store.url}/raw/a_b_2001/1.jpg"
    assert json.loads((tmp_path / "todo.json").read_text()) == [{"data": {"image": image, "key": "a_b_2001/1.jpg"}}]


def test_downloaded_photos_are_those_of_the_tasks(session, tmp_path):
    names = add_photos(session, 2, "skoda_rapid%2fspace back+#ü_2014")
    todo, folder = tmp_path / "todo.json", tmp_path / "some photos"

    assert write_sample(session, todo, [*names, photo_name()], file_format="label-studio", photos=folder) == 2

    for task in json.loads(todo.read_text(encoding="utf-8")):
        [place] = parse_qs(urlsplit(task["data"]["image"]).query, strict_parsing=True)["d"]
        assert (tmp_path / place).read_bytes() == task["data"]["key"].encode()
    assert sum(path.is_file() for path in folder.rglob("*")) == 2
    # Again, with another file of tasks: what is there stays.
    write_sample(session, tmp_path / "more.json", names, file_format="label-studio", photos=folder)


def test_what_is_there_is_not_overwritten(session, tmp_path):
    [name] = add_photos(session, 1)
    (tmp_path / "todo.csv").write_text("mine")
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text("mine")

    with pytest.raises(InputError, match="may hold labels"):
        write_sample(session, tmp_path / "todo.csv", [name], file_format="csv", photos=None)
    with pytest.raises(InputError, match="is another photo"):
        write_sample(session, tmp_path / "new.csv", [name], file_format="csv", photos=tmp_path)

    assert {path.read_text() for path in tmp_path.rglob("*") if path.is_file()} == {"mine"}


def test_photos_do_not_follow_a_link_out_of_the_folder(session, tmp_path):
    [name] = add_photos(session, 1)
    (tmp_path / "outside").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / name.split("/")[0]).symlink_to(tmp_path / "outside")

    with pytest.raises(InputError, match="leads out of"):
        write_sample(session, tmp_path / "todo.csv", [name], file_format="csv", photos=tmp_path / "photos")

    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize(
    "key",
    ["../x.jpg", "/etc/x.jpg", "a/../../x.jpg", "a/..", "a\\..\\x.jpg", "a/.bashrc", "a\x00/b\n.jpg",
     f"{'ü' * 300}/x.jpg", f"a/{'x' * 300}.jpg", "a:b/x?.jpg", "%2e%2e/x.jpg", "a//b.jpg"],
)  # fmt: skip
def test_names_on_disk_are_harmless_and_differ(key, tmp_path):
    path = tmp_path / local_name(key)

    assert path.resolve().is_relative_to(tmp_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    assert not {*str(local_name(key))} & {*"\\:?%\x00\n"}
    assert not any(part.startswith(".") for part in local_name(key).parts)
    others = [key.replace(".jpg", "x.jpg"), f"{key}x", f"x{key}", key.replace("..", "__")]
    assert all(local_name(other) != local_name(key) for other in others if other != key)


def test_ordinary_names_stay_as_they_are():
    for key in (photo_name(), "mercedes-benz_v_2016/1_2_a.JPG", "citroën_c3_2010/vw up!+.jpg"):
        assert str(local_name(key)) == key
