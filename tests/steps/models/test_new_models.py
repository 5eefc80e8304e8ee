"""New models of a bucket: what scores keep for them, what is proposed, and what people get."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from carpipe import manifest
from carpipe.cli import main
from carpipe.errors import InputError
from carpipe.evaluation.likeness import Means
from carpipe.evaluation.top_answers import FAMILIARITY
from carpipe.steps import results
from carpipe.steps.cache import ResultCache
from carpipe.steps.listings.rows import known_of
from carpipe.steps.listings.store import import_corrections
from carpipe.steps.models import new_looks
from carpipe.steps.models import score as score_module
from carpipe.steps.models.new_models import new_models, rule_for, tell_new_models
from carpipe.steps.models.score import KNOWN, read_scores, score
from carpipe.steps.models.unknown import MEANS
from carpipe.steps.upkeep.forget import forget
from carpipe.steps.upkeep.garbage import find_garbage
from carpipe.steps.views import new_models as view
from carpipe.taxonomy.read import parse
from tests.steps.models.test_score import AT, COLOURS, PLAIN, Bucket, network, photo  # noqa: F401  # a fixture

# By likeness alone: a photo is known whose colour is like one of the three.
RULE = {"stand_out": 0.0, "likeness": 10.0, "offset": -9.5, "threshold": -0.5, "alike": 1.0, "refused": 0.02}
SHADES = {**COLOURS, "yellow": (215, 205, 40), "purple": (170, 60, 190)}
MIDDLE = np.full(3, 46.0, np.float32)
HERE = {"partition": "p00001-b"}


def uuid(number):
    return f"0b9b1b0e-52f8-4e7c-9a80-{number:012d}"


def shade(colour, seed):
    """A crop of nearly that colour."""
    pixels = np.clip(np.array(SHADES[colour]) + np.random.default_rng(seed).normal(0, 6, 3), 0, 255)
    sink = io.BytesIO()
    Image.new("RGB", (12, 9), tuple(int(value) for value in pixels)).save(sink, "JPEG", quality=95)
    return sink.getvalue()


class Nights(Bucket):
    """A live model that can tell what it knows, and a night's new listings."""

    def knowing(self, data, *, tag="", **more):
        towards = np.array([*COLOURS.values()], np.float32) - MIDDLE
        means = Means(MIDDLE, towards / np.linalg.norm(towards, axis=1, keepdims=True))
        judged = self.commit("evaluate", data.key + tag, {MEANS: means.to_npz()}, partition="classifier")
        return self.live(data, tag=tag, judged=judged, **{"known.json": json.dumps(RULE).encode()}, **more)

    def listings(self, looks, model, count, *, first, dropped="too_few_photos"):
        """Rows of new listings, and their crops. Names of colours have a class."""
        rows = []
        for number in range(first, first + count):
            key = f"{model}_2025/1_1_{uuid(number)}_x.jpg"
            self.crops[key] = shade(looks, number)
            out = {} if model in COLOURS else {"dropped": dropped, "by": "classes"}
            rows.append(photo(key, uuid(number), is_a=model, model=model, **out, **HERE))
        return rows

    def found(self, done):
        return manifest.read_json(self.store, done, results.PROPOSED)


OLD = [photo("a", "a", shows="red"), photo("b", "b", shows="green"), photo("c", "c", shows="blue")]


@pytest.fixture
def bucket(session, network):  # noqa: F811
    return Nights(session, network)


@pytest.fixture
def night(bucket):
    """Known cars; `dacia_spring`, yellow and unknown; and purple ones that sellers called three other names."""
    bucket.knowing(bucket.dataset("old", OLD))
    rows = [row for number, name in enumerate(COLOURS) for row in bucket.listings(name, name, 10, first=100 * number)]
    rows += bucket.listings("yellow", "dacia_spring", 8, first=400)
    for number, name in enumerate(("red", "green", "dacia_other")):
        rows += bucket.listings("purple", name, 4, first=500 + 100 * number)
    data = bucket.dataset("new", [*OLD, *rows])
    score(bucket.session, data.key, at=AT)
    return data


def test_a_score_keeps_how_familiar_each_photo_is(bucket, night):
    [key] = [key for key in bucket.keys("stages/score") if key.endswith("manifest.json")]
    done = manifest.read(bucket.store, key)

    top = read_scores(bucket.session, done)

    assert done.extra[KNOWN] == {name: value for name, value in RULE.items() if name != "refused"}
    familiarity = top.photos.set_index("key")[FAMILIARITY]
    assert str(familiarity.dtype) == "float32"
    known = familiarity[[key.startswith("blue") for key in familiarity.index]]
    new = familiarity[[key.startswith("dacia_spring") for key in familiarity.index]]
    assert known.min() > -0.5 > new.max()
    assert top.p.shape == (len(familiarity), 3)
    np.testing.assert_allclose(top.p.sum(axis=1), 1, atol=2e-3)


def test_answers_of_before_stay_as_they_are(bucket, monkeypatch):
    """A model that can tell, of which an earlier carpipe has kept answers without it: nobody is asked again."""
    bucket.knowing(bucket.dataset("old", OLD))
    data = bucket.dataset("new", [*OLD, *bucket.listings("yellow", "dacia_spring", 6, first=1)])
    monkeypatch.setattr(score_module, "read_sight", lambda session, model: None)
    score(bucket.session, data.key, at=AT)
    before = bucket.keys("stages/score")
    monkeypatch.undo()
    bucket.store.delete(bucket.keys("channels/classifier/scores"))
    monkeypatch.setattr(score_module, "load_trained", None)

    score(bucket.session, data.key, at=AT)

    assert bucket.keys("stages/score") == before
    found = bucket.found(new_models(bucket.session))
    [one] = found["names"]
    assert (one["listings"], one["judged"], one["new"]) == (6, 0, False)
    assert "answers of before do not say it" in one["why"]
    assert "Of 6 of 6 new listings it is not kept" in found["notes"][0]


def test_a_model_whose_evaluation_is_gone_answers_all_the_same(bucket):
    model = bucket.knowing(bucket.dataset("old", OLD))
    bucket.store.delete([model.inputs[0]])
    data = bucket.dataset("new", [*OLD, *bucket.listings("red", "red", 2, first=1)])

    assert "100.0 % of 2 photos" in score(bucket.session, data.key, at=AT)


def test_names_and_look_alikes_are_proposed(bucket, night):
    found = bucket.found(new_models(bucket.session))

    [one] = found["names"]
    assert (one["model"], one["listings"], one["unknown"], one["new"]) == ("dacia_spring", 8, 8, True)
    assert (one["photos"], one["needs"]) == (8, bucket.session.config.classes.min_photos - 8)
    assert f"needs {one['needs']:,} more for a class." in one["why"]
    [group] = found["groups"]
    purple = {uuid(number) for first in (500, 600, 700) for number in range(first, first + 4)}
    assert set(group["listings"]) == purple
    assert group["names"] == {"red": 4, "green": 4, "dacia_other": 4}
    assert found["notes"] == ["Names without a class that have fewer than 5 new listings: 1."]
    assert {row["listing"] for row in found["listings"]} == purple | {uuid(number) for number in range(400, 408)}


def test_what_was_looked_for_is_not_looked_for_again(bucket, night, monkeypatch):
    first = new_models(bucket.session)
    monkeypatch.setattr(new_looks, "load_trained", None)

    assert not new_models(bucket.session).fresh
    assert new_models(bucket.session, night.key).key == first.key
    said = tell_new_models(bucket.session, night.key)
    assert said == (
        "New classes? dacia_spring: 8 new listings, 8 unknown to the model. 12 listings of 3 names look alike, and "
        "little like anything known. `carpipe classes new` shows them."
    )


def test_known_cars_alone_propose_nothing_and_no_network_is_loaded(bucket, monkeypatch):
    bucket.knowing(bucket.dataset("old", OLD))
    data = bucket.dataset("new", [*OLD, *bucket.listings("red", "red", 12, first=1)])
    score(bucket.session, data.key, at=AT)
    monkeypatch.setattr(new_looks, "load_trained", None)

    assert tell_new_models(bucket.session, data.key) == "No new class is proposed."


def test_a_name_that_is_known_by_another_spelling_says_so(bucket):
    bucket.knowing(bucket.dataset("old", OLD))
    data = bucket.dataset("new", [*OLD, *bucket.listings("red", "r_ed", 5, first=1)])
    score(bucket.session, data.key, at=AT)

    [one] = bucket.found(new_models(bucket.session))["names"]

    assert one["twin"] == "red"
    assert one["yaml"] == "classes:\n  red:\n  - red\n  - r_ed\n"
    assert "It differs from red in spelling alone." in one["why"]
    assert "r_ed: 5 listings, spelled otherwise than red" in tell_new_models(bucket.session, data.key)


NEW = {"model": "dacia_spring", "twin": "", "alias": ""}
ERASE = "version: 1\nunknown: erase\nunchanged: [dacia_sandero]\n"
RULES = {
    "counts without": (PLAIN, NEW, ""),
    "erased without": (ERASE, NEW, "unchanged:\n- dacia_spring\n"),
    "looks known": (
        PLAIN, {**NEW, "alias": "dacia_sandero"}, "classes:\n  dacia_sandero:\n  - dacia_sandero\n  - dacia_spring\n",
    ),
    "joins a class of several": (
        PLAIN + "classes:\n  dacia: [dacia_sandero, dacia_logan]\n", {**NEW, "twin": "dacia_logan"},
        "classes:\n  dacia:\n  - dacia_spring\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "name", "expected"), RULES.values(), ids=RULES.keys())
def test_the_rule_that_a_taxonomy_wants(text, name, expected):
    assert rule_for(parse(text, name="t"), name) == expected


def test_what_a_rule_erases_is_left_out_and_told(bucket):
    taxonomy = PLAIN + "erased: [dacia_others]\n"
    bucket.knowing(bucket.dataset("old", OLD))
    rows = bucket.listings("yellow", "dacia_others", 6, first=1, dropped="erased_class")
    data = bucket.dataset("new", [*OLD, *rows], taxonomy=taxonomy)
    score(bucket.session, data.key, at=AT)

    found = bucket.found(new_models(bucket.session))

    assert found["names"] == []
    assert found["notes"] == ["Names that are left out, since a rule of the taxonomy erases them: 1."]


def test_where_no_listing_is_newer_than_the_live_model_that_is_said(bucket, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("carpipe.cli.classes.session", lambda config: bucket.session)
    bucket.knowing(bucket.dataset("old", OLD))
    out = tmp_path / "new.csv"

    assert main(["classes", "new", "--out", str(out)]) == 0

    said, confirmed = capsys.readouterr()
    assert said.startswith("No listing is newer than the live model, so no car can be new to it.")
    assert confirmed.startswith(f"{out} is written")
    assert out.read_text().splitlines() == ["listing,from,to,by,at,proposal,unknown,key"]
    assert main(["classes", "new", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["names"] == []


def test_a_night_goes_on_where_it_cannot_be_looked_for(bucket, night):
    bucket.store.delete([key for key in bucket.keys("stages/split") if key.endswith("manifest.json")])
    bucket.store.delete([key for key in bucket.keys("datasets/") if "photos" in key])

    assert tell_new_models(bucket.session, night.key).startswith("New classes were not looked for.")


def test_crops_that_are_gone_cost_the_groups_alone(bucket, night):
    bucket.store.delete([key for key in bucket.keys("stages/crop") if key.endswith("manifest.json")])

    found = bucket.found(new_models(bucket.session))

    assert [one["model"] for one in found["names"]] == ["dacia_spring"]
    assert found["groups"] == []
    assert "Which listings look alike cannot be told." in found["notes"][0]


def test_where_nothing_was_answered_or_is_live_it_is_a_sentence(bucket):
    data = bucket.dataset("old", OLD)
    with pytest.raises(InputError, match="Nothing is live in channel classifier"):
        new_models(bucket.session)
    bucket.knowing(data)
    assert new_models(bucket.session) is None, "nothing is newer"
    data = bucket.dataset("new", [*OLD, *bucket.listings("red", "red", 2, first=1)])
    with pytest.raises(InputError, match="No live model has answered new listings"):
        new_models(bucket.session)
    assert tell_new_models(bucket.session, data.key) == "", "`score` has said why"


def test_the_command_says_it_and_writes_a_file_that_corrects(bucket, night, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("carpipe.cli.classes.session", lambda config: bucket.session)
    out = tmp_path / "new.csv"

    assert main(["classes", "new", "--out", str(out)]) == 0

    text = capsys.readouterr().out
    assert "dacia_spring: 8 new listings, new" in text
    assert "12 listings of 3 names that look alike" in text
    rows = list(csv.DictReader(io.StringIO(out.read_text("utf-8"))))
    assert len(rows) == 20
    assert {row["proposal"] for row in rows} == {"dacia_spring", "look-alikes 1"}
    assert main(["classes", "new", "--out", str(out)]) == 1, "somebody may have filled it in"
    capsys.readouterr()
    assert main(["classes", "new", "--dataset", night.key, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["names"][0]["model"] == "dacia_spring"
    filled = pd.DataFrame([{**row, "to": "dacia_spring"} for row in rows[8:]]).to_csv(index=False).encode()
    known = known_of({row["listing"]: row["from"] for row in rows}, ["dacia_spring"])
    assert import_corrections(bucket.session, filled, known=known, at=AT, by="ann").added == 12


def test_a_list_that_names_a_forgotten_listing_goes_and_gc_takes_the_others(bucket, night):
    named = new_models(bucket.session)
    garbage = find_garbage(bucket.session, older_than=timedelta(0), now=datetime.now(UTC) + timedelta(days=1))
    assert named.key in {info.key for info in garbage.objects}
    bucket.store.put(f"raw/red_2025/1_1_{uuid(500)}_x.jpg", b"x")

    forget(bucket.session, uuid(500), at=AT)

    assert bucket.keys("stages/new_models") == []


def test_the_page_shows_the_examples_and_no_other_photo(bucket, night, monkeypatch):
    done = new_models(bucket.session)
    cache = ResultCache(bucket.session)

    shown = view.newest_new_models(cache, night.key.split("/")[1])

    assert shown.id == done.key.split("/")[3]
    assert [one.title for one in shown.proposals] == [
        "dacia_spring: 8 new listings, new", "12 listings of 3 names that look alike",
    ]  # fmt: skip
    monkeypatch.setattr(view, "SHOWN", 0)
    assert view.newest_new_models(ResultCache(bucket.session), night.key.split("/")[1]).notes[-1] == (
        "There are 1 more names: `carpipe classes new` shows them."
    )
    numbers = [number for one in shown.proposals for number in one.examples]
    assert numbers == [*range(12)]
    assert view.photo_of(cache, shown.id, 0) == shown.proposals[0].examples[0]
    with pytest.raises(InputError, match="none of the examples"):
        view.photo_of(cache, shown.id, 12)
    with pytest.raises(InputError, match="There is no result"):
        view.photo_of(cache, "0" * 20, 0)
    assert view.newest_new_models(cache, "0" * 20) is None
