import base64
import dataclasses
import io
from datetime import UTC, datetime
from html.parser import HTMLParser

import pandas as pd
import pytest
from PIL import Image

from carpipe.errors import InputError
from carpipe.photos import drop
from carpipe.reasons import REASONS
from carpipe.stages.funnel import funnel
from carpipe.validation import report_charts as charts
from carpipe.validation.report import (
    PreviousDataset,
    ReportInput,
    choose_examples,
    choose_pairs,
    render_report,
)

HOSTILE = "<script>alert('x')</script>\"& onerror=alert(1) "
QUOTAS = {"train": 0.7, "val": 0.15, "test": 0.15}


class Page(HTMLParser):
    """Tags with their attributes, and the text, as a browser sees them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def values(self, attribute: str) -> list[str]:
        return [str(attrs[attribute]) for _, attrs in self.tags if attribute in attrs]


@pytest.fixture
def photos() -> pd.DataFrame:
    """240 photos of 3 models: 4 a vehicle, two listings in every tenth one; 40 dropped for 3 reasons."""
    rows = [
        {
            "key": f"{model}_20{10 + vehicle % 4}/{vehicle}_{photo}_listing_photo.jpg",
            "size": 900 + photo,
            "model": model,
            "listing_uuid": f"{model}-{vehicle}-{photo % 2 if vehicle % 10 == 0 else 0}",
            "vehicle": f"{model}-{vehicle}",
            "class_name": model,
            "split": ("train", "train", "train", "val", "test")[vehicle % 5],
            "width": 640.0,
            "height": 480.0,
            "dropped": None,
            "dropped_by": None,
        }
        for model in ("audi_a1", "fiat_500", "kia_rio")
        for vehicle in range(20)
        for photo in range(4)
    ]
    photos = pd.DataFrame(rows).astype({"dropped": "str", "dropped_by": "str"})
    for stage, reason, number in (("clean", "truncated", 8), ("filter", "not_a_car", 30), ("crop", "odd_light", 2)):
        alive = photos[photos["dropped"].isna()].index
        photos = drop(photos, pd.Series(True, index=alive[::3][:number]), stage=stage, reason=reason)
    photos.loc[photos["dropped"].notna(), ["vehicle", "class_name", "split"]] = None
    return photos


def jpeg(width: int = 256, height: int = 192, **options: object) -> bytes:
    sink = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(sink, "JPEG", **options)
    return sink.getvalue()


def make_input(photos: pd.DataFrame, **changes: object) -> ReportInput:
    report = ReportInput(
        dataset="d123",
        made=datetime(2026, 11, 22, 1, 0, tzinfo=UTC),
        expectations=58,
        failed=(),
        photos=photos,
        funnel=funnel(photos),
        quotas=QUOTAS,
        examples=choose_examples(photos, per_reason=5),
    )
    return dataclasses.replace(report, **changes)


def render(photos: pd.DataFrame, **changes: object) -> Page:
    return Page(render_report(make_input(photos, **changes)))


def test_a_page_loads_nothing_and_runs_nothing(photos: pd.DataFrame) -> None:
    examples = choose_examples(photos, per_reason=5)
    page = render(photos, pictures={key: jpeg() for key in examples["key"]})
    assert page.values("src")
    assert all(src.startswith("data:image/jpeg;base64,") for src in page.values("src"))
    assert {href for href in page.values("href") if not href.startswith("#")} == {"data_docs/index.html"}
    assert {"script", "link", "iframe", "object"}.isdisjoint(tag for tag, _ in page.tags)
    policies = [attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_every_link_within_the_page_leads_somewhere(photos: pd.DataFrame) -> None:
    page = render(photos, previous=PreviousDataset("d122", funnel(photos)))
    targets = {href[1:] for href in page.values("href") if href.startswith("#")}
    assert {"change", "reason-0"} <= targets <= set(page.values("id"))


def test_foreign_text_is_shown_and_never_run(photos: pd.DataFrame) -> None:
    hostile = photos.map(lambda value: f"{HOSTILE}{value}" if isinstance(value, str) else value)
    hostile["split"], hostile["dropped_by"] = photos["split"], photos["dropped_by"]
    pairs = pd.DataFrame({"key_a": hostile["key"][:1], "key_b": hostile["key"][1:2].to_list(), "difference": 1.0})
    html = render_report(
        make_input(
            hostile,
            dataset=HOSTILE,
            failed=[HOSTILE],
            near_duplicates=pairs,
            pairs=pairs,
            previous=PreviousDataset(HOSTILE, funnel(hostile), classes={HOSTILE: 3}, splits={"train": 1}),
            manifests={HOSTILE: [HOSTILE]},
            config={HOSTILE: {HOSTILE: HOSTILE}},
            weights={HOSTILE: HOSTILE},
            data_docs=HOSTILE,
            pictures={key: jpeg(8, 8) for key in hostile["key"]},
        )
    )
    page = Page(html)
    assert "<script" not in html
    assert page.text.count(HOSTILE) > 30
    # A quote that ended an attribute would make attributes of what follows it.
    known = {"class", "style", "id", "href", "src", "title", "alt", "width", "height", "loading", "decoding", "name"}
    known |= {"content", "charset", "lang", "http-equiv", "role", "aria-label", "viewbox", "preserveaspectratio", "d"}
    assert {name for _, attrs in page.tags for name in attrs} <= known


@pytest.mark.parametrize(
    ("expectations", "failed", "sentence"),
    [
        (58, [], "Validation passed: all 58 expectations are met."),
        (58, ["audit: no vehicle is in two splits"], "Validation failed: 1 of 58 expectations are broken."),
        (0, [], "Not validated."),
    ],
)
def test_the_verdict_stands_first(photos: pd.DataFrame, expectations: int, failed: list[str], sentence: str) -> None:
    text = render(photos, expectations=expectations, failed=failed).text
    assert sentence in text.partition("Funnel")[0]
    assert all(one in text for one in failed)


def test_a_dataset_is_called_by_its_date_and_size_and_a_short_id(photos: pd.DataFrame) -> None:
    before = PreviousDataset("77aa0b7a6d52e4c38b01", funnel(photos), name="21 Nov 2026 01:02, 240 photos")
    page = render(photos, dataset="1f9c0b7a6d52e4c38b01", previous=before).text
    assert page.startswith("Dataset of 22 Nov 2026 01:00, 240 photos ")
    assert "Dataset of 22 Nov 2026 01:00, 240 photos 1f9c0b7a made 22 Nov 2026 01:00 UTC" in page
    assert "Compared with the dataset of 21 Nov 2026 01:02, 240 photos 77aa0b7a ." in page
    assert "1f9c0b7a6d52" not in page.partition("Settings and lineage")[0]


def test_what_was_refused_is_called_no_dataset(photos: pd.DataFrame) -> None:
    page = render(photos, failed=["audit: no vehicle is in two splits"])
    said = page.text[page.text.index("Refused: the data of", 1) :]
    assert said.startswith(
        "Refused: the data of 22 Nov 2026 01:00, 240 photos (no dataset was made) Validation failed: 1 of 58 "
        "expectations are broken. Data Docs audit: no vehicle is in two splits"
    )
    assert "Dataset of" not in page.text
    assert "datasets/d123" not in page.text
    assert ("h1", {"class": "bad"}) in page.tags


def test_a_change_says_by_an_arrow_and_a_colour_whether_it_is_good(photos: pd.DataFrame) -> None:
    lost = photos["class_name"].eq("kia_rio")
    fewer = drop(photos, lost, stage="split", reason="other_class")
    html = render_report(make_input(fewer, previous=PreviousDataset("d122", funnel(photos))))
    assert f'<span class="change bad">▼ −{lost.sum()}</span>' in html  # kept
    assert f'<span class="change bad">▲ +{lost.sum()}</span>' in html  # dropped
    assert '<span class="change">0</span>' in html  # as it was


def test_counts_are_those_of_the_table(photos: pd.DataFrame) -> None:
    text = render(photos).text
    assert "240 photos in the bucket" in text
    assert "200 kept, 83.3 %" in text
    assert "filter 232 in, 202 kept not a car 30" in text
    assert "split 200 in, 200 kept nothing dropped" in text
    assert f"not a car not_a_car filter 30 12.5 % {REASONS['not_a_car']}" in text
    assert (
        "odd light odd_light crop 2 0.8 % Not a car not_a_car 5 of 30 photos" in text
    )  # a reason without a meaning, the last


def test_what_is_little_is_not_shown_as_nothing(photos: pd.DataFrame) -> None:
    entries = [{"stage": "clean", "in": 5000, "dropped": {"bomb": 1}, "kept": 4999}]
    assert "bomb clean 1 < 0.1 %" in render(photos, funnel=entries).text


def test_a_photo_without_a_picture_shows_its_facts(photos: pd.DataFrame) -> None:
    photos.loc[photos["dropped"] == "truncated", ["damage", "repaired"]] = [0.25, "end_marker"]
    text = render(photos).text
    key = choose_examples(photos, per_reason=1).query("dropped == 'truncated'")["key"].item()
    folder, name = key.split("/")
    assert f"{folder} {name} 640 × 480 px 90" in text
    assert "damage 25.0 % repaired: end_marker" in text


def test_the_box_is_a_share_of_the_frame(photos: pd.DataFrame) -> None:
    photos["box"] = [[0.0, 0.0, 320.0, 120.0] if reason == "odd_light" else None for reason in photos["dropped"]]
    assert render(photos).text.count("box 12.5 % of the frame") == 2


def test_pictures_are_scaled_down_and_carry_no_comment(photos: pd.DataFrame) -> None:
    key = choose_examples(photos, per_reason=1)["key"][0]
    page = render(photos, pictures={key: jpeg(256, 128, comment=b"52.5 N 13.4 E")})
    [attrs] = [attrs for tag, attrs in page.tags if tag == "img"]
    image = Image.open(io.BytesIO(base64.b64decode(str(attrs["src"]).partition(",")[2])))
    assert image.size == (160, 80) == (int(str(attrs["width"])), int(str(attrs["height"])))
    assert "comment" not in image.info


def test_what_is_no_picture_is_named(photos: pd.DataFrame) -> None:
    key = choose_examples(photos, per_reason=1)["key"][0]
    sink = io.BytesIO()
    Image.new("RGB", (9, 9)).save(sink, "PNG")
    with pytest.raises(InputError, match=f"picture of {key}"):
        render(photos, pictures={key: sink.getvalue()})


def test_change_names_new_and_gone_classes(photos: pd.DataFrame) -> None:
    before = PreviousDataset("d122", funnel(photos[:200]), classes={"audi_a1": 9, "trabant_601": 7, "fiat_500": 66})
    text = render(photos, previous=before).text
    assert "Compared with the dataset d122" in text
    assert "photos in 200 240 ▲ +40" in text
    assert "trabant_601 7 0 ▼ −7" in text
    assert "1 new classes: kia_rio. 1 gone: trabant_601." in text
    assert "Compared with" not in render(photos).text


@pytest.mark.parametrize(("classes", "bars"), [(60, 60), (61, 30)])
def test_many_classes_show_their_ends_and_a_table_of_all(classes: int, bars: int) -> None:
    rows = [(f"class_{number:03}", photo) for number in range(classes) for photo in range(number + 3)]
    photos = pd.DataFrame(rows, columns=["class_name", "photo"])
    photos["key"] = [f"{name}_2010/{photo}.jpg" for name, photo in rows]
    photos["vehicle"] = photos["listing_uuid"] = photos["key"]
    photos["split"] = [("train", "val", "test")[photo % 3] for _, photo in rows]
    photos = photos.assign(dropped=None, dropped_by=None).astype({"dropped": "str", "dropped_by": "str"})
    page = render(photos)
    assert sum(title.startswith("class_") for title in page.values("title")) == bars
    assert sum(word.startswith("class_") and word.rpartition("_")[2].isdigit() for word in page.words) >= classes + bars
    assert ("svg" in {tag for tag, _ in page.tags}) == (classes > bars)


def test_worst_classes_and_deviations_match_counts_by_hand() -> None:
    classes = pd.DataFrame(
        {
            "class_name": ["even", "odd"],
            "photos": [100, 10],
            "vehicles": [50, 3],
            "largest": [2, 8],
            "train": [70, 8],
            "val": [15, 1],
            "test": [15, 1],
        }
    )
    [worst] = charts.worst_classes(classes, QUOTAS, count=1)
    assert worst["class_name"] == "odd"
    assert worst["off"] == pytest.approx({"train": 10, "val": -5, "test": -5})
    assert worst["share_of_largest"] == 0.8
    bars = charts.deviation_bars(pd.Series([0.5, -0.5, 0.0, 10.1, -10.0]))
    assert {bar.label: bar.value for bar in bars if bar.value} == {"−10 to −5": 1, "−0.5 to +0.5": 3, "above +10": 1}


def test_vehicle_sizes_are_counted_in_bins() -> None:
    photos = pd.DataFrame({"vehicle": list("aabccccc") + ["d"] * 99, "listing_uuid": list("12345678") + ["9"] * 99})
    sizes = charts.size_bars(charts.photos_per_vehicle(photos), charts.PHOTOS_PER_VEHICLE)
    assert {bar.label: bar.value for bar in sizes if bar.value} == {"1": 1, "2": 1, "5": 1, "51+": 1}
    listings = charts.size_bars(charts.listings_per_vehicle(photos), charts.LISTINGS_PER_VEHICLE)
    assert {bar.label: bar.value for bar in listings if bar.value} == {"1": 2, "2": 1, "5": 1}
    [between] = [bar for bar in charts.size_bars(pd.Series([11, 15]), charts.PHOTOS_PER_VEHICLE) if bar.value]
    assert between == charts.Bar("11–15", 2, 100.0)


def test_examples_are_deterministic_and_spread_over_folders(photos: pd.DataFrame) -> None:
    chosen = choose_examples(photos, per_reason=8)
    again = choose_examples(photos.sample(frac=1, random_state=1), per_reason=8)
    pd.testing.assert_frame_equal(chosen, again)
    assert chosen["dropped"].value_counts().to_dict() == {"truncated": 8, "not_a_car": 8, "odd_light": 2}
    folders = photos["key"].str.partition("/")[0]
    there = folders[photos["dropped"] == "not_a_car"].nunique()
    assert chosen.loc[chosen["dropped"] == "not_a_car", "key"].str.partition("/")[0].nunique() == min(8, there)


def test_pairs_are_the_doubtful_ones_and_some_of_the_others() -> None:
    pairs = pd.DataFrame({"key_a": [f"a{i}" for i in range(100)], "key_b": "b", "difference": range(100)})
    pairs.index = pairs.index % 10  # as after pd.concat
    chosen = choose_pairs(pairs, count=6)
    assert chosen["difference"].is_monotonic_decreasing
    assert chosen["difference"].to_list()[:3] == [99, 98, 97]
    assert len(chosen) == chosen["key_a"].nunique() == 6
    assert len(choose_pairs(pairs, count=150)) == 100
    pd.testing.assert_frame_equal(chosen, choose_pairs(pairs[::-1], count=6))


def test_a_pair_shows_both_pictures_and_fates(photos: pd.DataFrame) -> None:
    dropped, alive = (
        photos[photos["dropped"] == "not_a_car"]["key"].iloc[0],
        photos.query("dropped.isna()")["key"].iloc[0],
    )
    pairs = pd.DataFrame({"key_a": [alive], "key_b": [dropped], "difference": [1.234]})
    page = render(photos, near_duplicates=pairs, pairs=pairs, pictures={alive: jpeg(), dropped: jpeg()})
    shown = page.text.partition("difference 1.23")[2].partition("Settings")[0]
    assert "kept" in shown.partition("not a car")[0]
    assert page.values("alt")[-2:] == [alive, dropped]
    with pytest.raises(InputError, match="photo lost"):
        render(photos, near_duplicates=pairs, pairs=pairs.assign(key_b="lost"))


@pytest.mark.parametrize("reason", ["deleted", "forgotten"])
def test_photos_that_were_withdrawn_are_never_shown(photos: pd.DataFrame, reason: str) -> None:
    gone = photos.index == photos.query("dropped == 'odd_light'").index[0]
    photos.loc[gone, "dropped"] = reason
    lost, kept = photos.loc[gone, "key"].item(), photos.query("dropped.isna()")["key"].iloc[0]
    assert lost not in set(choose_examples(photos, per_reason=99)["key"])
    pairs = pd.DataFrame({"key_a": [kept], "key_b": [lost], "difference": [1.0]})
    page = render(photos, near_duplicates=pairs, pairs=pairs, pictures={kept: jpeg(), lost: jpeg()})
    assert page.values("alt") == [kept]
    assert page.text.count(f"{reason} crop 1") == 1  # it is counted all the same


def test_a_table_without_kept_photos_makes_a_page(photos: pd.DataFrame) -> None:
    empty = drop(photos, pd.Series(True, index=photos.index), stage="split", reason="too_few_vehicles")
    assert "No photo was kept." in render(empty).text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quotas": {"train": 1.0}}, "no.* for .*val"),
        ({"made": datetime(2026, 1, 1)}, "time zone"),
    ],
)
def test_incomplete_input_is_refused(photos: pd.DataFrame, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        render(photos, **changes)


def test_a_missing_column_is_named(photos: pd.DataFrame) -> None:
    with pytest.raises(InputError, match=r"lacks \['vehicle'\]"):
        render(photos.drop(columns="vehicle"))


def test_equal_input_gives_an_equal_page(photos: pd.DataFrame) -> None:
    assert render_report(make_input(photos)) == render_report(make_input(photos))
