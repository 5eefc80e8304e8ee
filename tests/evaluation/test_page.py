import base64
import dataclasses
import io
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from carpipe.config import GateConfig
from carpipe.errors import InputError
from carpipe.evaluation.calibration import Threshold, choose_threshold
from carpipe.evaluation.decision import Decision
from carpipe.evaluation.gate import compare
from carpipe.evaluation.page import PageInput, choose_pictures, render_page
from carpipe.evaluation.predictions import Predictions
from carpipe.figures import meaning
from tests.evaluation.make import draw, make
from tests.evaluation.test_plots import HISTORY

SVG = {"viewbox", "role", "aria-label", "d", "x", "y", "transform", "clip-path"}
HOSTILE = "<script>alert('x')</script>\"& onerror=alert(1) "


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


def jpeg(**options: object) -> bytes:
    sink = io.BytesIO()
    Image.linear_gradient("L").resize((320, 200)).convert("RGB").save(sink, "JPEG", **options)
    return sink.getvalue()


def make_input(test: Predictions, **changes: object) -> PageInput:
    made = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
    return dataclasses.replace(PageInput(model="classifier m1", made=made, test=test, temperature=1.2), **changes)


def render(test: Predictions, **changes: object) -> Page:
    return Page(render_page(make_input(test, **changes)))


def everything(test: Predictions) -> dict[str, object]:
    """All that a page can show of these predictions."""
    champion = draw(len(test.classes), len(test.photos), seed=1)
    right = champion.correct[: len(test.photos)]
    return {
        "history": HISTORY,
        "training": {name: 30 * number for number, name in enumerate(test.classes)},
        "threshold": choose_threshold(test, 1.2, precision=0.9),
        "decision": compare(test.table(), test.table().assign(correct=right), rules=GateConfig()),
        "pictures": {key: jpeg() for key in choose_pictures(test)},
        "facts": {"dataset": "datasets/d1/manifest.json"},
        "known": known(with_unknown=True),
    }


def known(*, with_unknown: bool) -> dict[str, object]:
    """What an evaluation says of cars of no class."""
    bounds = {"refused": 0.021, "low": 0.011, "high": 0.034, "listings": 30, "listings_refused": 0.0333}
    figures: dict[str, object] = {"known": {"photos": 90, "vehicles": 30, **bounds}}
    shares = {"edges": [-3.0, -1.0, 1.0, 3.0], "threshold": -2.0, "known": [0.1, 0.5, 0.4]}
    if with_unknown:
        aurocs = {"auroc": 0.87, "auroc_low": 0.84, "auroc_high": 0.9, "softmax_auroc": 0.81, "softmax_refused": 0.08}
        gains = {"gained": 0.06, "gained_low": 0.02, "gained_high": 0.1}
        reasons = {HOSTILE: {"photos": 40, "vehicles": 20, "refused": 0.125}}
        strange = {"photos": 44, "vehicles": 22, **bounds, "refused": 0.3}
        figures["unknown"] = {**strange, **aurocs, **gains, "reasons": reasons}
        shares["unknown"] = [0.6, 0.3, 0.1]
    return {"why": "The weights are so.", "figures": figures, "histogram": shares}


def car_filter() -> Predictions:
    """Six photos: one car taken for none, and two others the other way round."""
    p = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9], [0.6, 0.4], [0.95, 0.05]]
    return make(["auto"] * 3 + ["no_auto"] * 3, p, ["auto", "no_auto"])


@pytest.mark.parametrize("classes", [2, 12, 100])
def test_a_page_loads_nothing_and_runs_nothing(classes: int) -> None:
    test = draw(classes, 600)

    page = render(test, **everything(test))

    sources = page.values("src")
    assert sum(source.startswith("data:image/jpeg;base64,") for source in sources) == len(choose_pictures(test))
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert all(href.startswith(("#", "data:image/png;base64,")) for href in page.values("href"))
    assert {"script", "link", "iframe", "object"}.isdisjoint(tag for tag, _ in page.tags)
    policies = [attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    targets = {href[1:] for href in page.values("href") if href.startswith("#")}
    assert {"figures", "training", "confused", "classes"} <= targets <= set(page.values("id"))


def test_foreign_text_is_shown_and_never_run() -> None:
    names = [f"{HOSTILE}{number}" for number in range(6)]
    columns = {name: [HOSTILE] * 6 for name in ("vehicle", "listing_uuid", "model")}
    test = make(names, np.roll(np.eye(6), 1, axis=0) * 0.9 + 0.01, names, **columns)
    test = dataclasses.replace(test, photos=test.photos.assign(key=[f"{HOSTILE}/{number}" for number in range(6)]))
    html = render_page(
        make_input(
            test,
            model=HOSTILE,
            training={names[0]: 5},
            decision=Decision("ask", (HOSTILE,)).with_check(HOSTILE, True, HOSTILE),
            pictures={key: jpeg() for key in choose_pictures(test)},
            facts={HOSTILE: HOSTILE},
        )
    )

    page = Page(html)
    assert "<script" not in html
    assert page.text.count("<script>alert('x')</script>\"& onerror=alert(1)") > 30
    # A quote that ended an attribute would make attributes of what follows it.
    known = {"class", "style", "id", "href", "src", "title", "alt", "width", "height", "loading", "decoding", "name"}
    known |= {"content", "charset", "lang", "http-equiv", "open", *SVG}
    assert {name for _, attrs in page.tags for name in attrs} <= known


def test_figures_stand_in_their_order_with_their_meaning():
    page = render(car_filter())

    assert f"top-1 {meaning('test_accuracy')} 0.5000" in page.text
    # (0.1 + 0.2 + 0.7 + 0.1 + 0.6 + 0.95) / 6
    assert "ECE, uncalibrated the same before calibration 0.4417" in page.text
    assert page.text.index("top-1 share") < page.text.index("ECE, unc") < page.text.index("test photos photos")
    assert "live model" not in page.text


@pytest.mark.parametrize(
    ("outcome", "words"),
    [("publish", "Gate: publish"), ("ask", "Gate: a person decides"), ("refuse", "Gate: refused")],
)
def test_the_decision_stands_first_with_its_reasons_and_checks(outcome: str, words: str) -> None:
    decision = Decision(outcome, ("It is so.",)).with_check("servable", True, "It loads.")

    before = render(car_filter(), decision=decision).text.partition("Figures")[0]

    assert f"{words} It is so. Check servable: passed. It loads." in before


def test_a_car_filter_shows_all_that_it_got_wrong():
    test = car_filter()

    page = render(
        test, positive="auto", positive_threshold=0.7, pictures={key: jpeg() for key in choose_pictures(test)}
    )

    assert set(choose_pictures(test)) == {"auto_2014/2.jpg", "no_auto_2014/4.jpg", "no_auto_2014/5.jpg"}
    assert "no_auto, taken for auto 2 photos, 66.7 % of no_auto no_auto_2014 5.jpg 95.0 % sure" in page.text
    assert "precision against recall" in page.values("aria-label")
    assert "By make" not in page.text


def test_a_photo_without_a_picture_shows_its_name():
    page = render(car_filter())

    assert not [source for source in page.values("src") if "jpeg" in source]
    assert "auto_2014 2.jpg 70.0 % sure" in page.text


def test_examples_of_a_pair_come_from_as_many_vehicles_as_possible():
    p = [[0.2, 0.6, 0.2], [0.1, 0.8, 0.1], [0.0, 0.9, 0.1], [0.05, 0.95, 0.0], [0.4, 0.5, 0.1], [0.3, 0.55, 0.15]]
    test = make(["a_a"] * 6, p, ["a_a", "a_b", "a_c"], vehicle=["v"] * 4 + ["w", "x"])

    # The surest of each vehicle, then the second ones.
    assert [key[4 + 5 :] for key in choose_pictures(test)] == ["3.jpg", "5.jpg", "4.jpg", "2.jpg"]


def test_pictures_are_scaled_down_and_carry_no_comment():
    key = choose_pictures(car_filter())[0]
    page = render(car_filter(), pictures={key: jpeg(comment=b"52.5 N 13.4 E")})

    [attrs] = [attrs for tag, attrs in page.tags if tag == "img" and "jpeg" in str(attrs["src"])]
    image = Image.open(io.BytesIO(base64.b64decode(str(attrs["src"]).partition(",")[2])))
    assert image.size == (160, 100) == (int(str(attrs["width"])), int(str(attrs["height"])))
    assert "comment" not in image.info


def test_what_is_no_picture_is_named():
    key = choose_pictures(car_filter())[0]

    with pytest.raises(InputError, match=f"picture of {key}"):
        render(car_filter(), pictures={key: b"GIF89a"})


def test_every_class_is_listed_and_many_are_folded_away():
    few, many = render(draw(12, 300)), render(draw(70, 300))

    assert all(f"make_model{number:03}" in many.words for number in range(70))
    assert sum("open" in attrs for tag, attrs in few.tags if tag == "details") == 2
    assert sum("open" in attrs for tag, attrs in many.tags if tag == "details") == 0
    assert "Worst classes" in many.text
    assert "Worst classes" not in few.text


@pytest.mark.parametrize(
    ("threshold", "sentence"),
    [
        (Threshold(0.83, 0.98, 0.981, 0.7), "a score of 0.830 or more is sure: on the validation split 98.1 %"),
        (Threshold(None, 0.98, 0.0, 0.0), "No score is high enough that 98.0 % of the answers are right"),
    ],
)
def test_the_threshold_is_explained(threshold: Threshold, sentence: str) -> None:
    assert sentence in render(car_filter(), threshold=threshold).text


def test_a_model_without_mistakes_makes_a_page():
    perfect = make(["a_a", "a_b"], [[0.9, 0.1], [0.2, 0.8]], ["a_a", "a_b"])

    assert choose_pictures(perfect) == []
    assert "Every test photo was answered rightly." in render(perfect).text


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(InputError, match="time zone"):
        render(car_filter(), made=datetime(2026, 1, 1))


def test_equal_input_gives_an_equal_page():
    test = car_filter()

    assert render_page(make_input(test)) == render_page(make_input(test))


def night(number: int, photos: int = 40, **changes: object) -> dict[str, object]:
    """What a live model answered on newest listings."""
    apart = {"seen_vehicle": {"photos": 0, "listings": 0}, "unknown_class": {"photos": 3, "listings": 1}}
    shares = {"accuracy": 0.625, "low": 0.5, "high": 0.75} if photos else dict.fromkeys(("accuracy", "low", "high"))
    return {
        "at": f"2026-02-{number:02}T03:00:00Z", "generation": number // 10 + 1, "photos": photos, "listings": 9,
        "vehicles": 8, "correct": 25, "confidence": 0.99, "test_accuracy": 0.8, "apart": apart, **shares, **changes,
    }  # fmt: skip


def test_newest_listings_stand_beside_the_random_split_the_last_night_first():
    shown = render(draw(3, 60), newest=[night(number) for number in range(1, 15)])

    assert "The last 12 of 14 nights." in shown.text
    assert "14 Feb 2026 03:00 2 40 9 62.5 % 50.0 % 75.0 % 80.0 % 3 of a class that the model does not know" in (
        shown.text
    )
    assert shown.text.index("14 Feb 2026") < shown.text.index("3 Feb 2026 03:00 1")
    assert "2 Feb 2026 03:00 1" not in shown.text.replace("12 Feb", "")
    assert "accuracy on newest listings by night" in shown.values("aria-label")


@pytest.mark.parametrize("nights", [[], [night(1, photos=0)]])
def test_where_no_listing_was_newer_the_page_is_as_it_was(nights):
    test = draw(3, 60)

    assert render_page(make_input(test, newest=nights)) == render_page(make_input(test))


def test_one_night_is_a_row_and_no_curve_and_what_is_not_known_is_a_dash():
    shown = render(draw(3, 60), newest=[night(1, photos=0), night(2, test_accuracy=None, apart={"new": {"photos": 1}})])

    assert "75.0 % – 1 new" in shown.text
    assert "accuracy on newest listings by night" not in shown.values("aria-label")


def test_cars_of_no_class_are_shown_beside_known_ones():
    page = render(draw(12, 60), known=known(with_unknown=True))

    assert "The weights are so." in page.text
    assert "known cars 90 30 2.1" in page.text
    assert "cars of no class 44 22 30.0" in page.text
    assert "in 87.0 % of all pairs (84.0 % to 90.0 %), and has the larger probability in 81.0 %" in page.text
    assert "The difference is 6.0 points (2.0 to 10.0)" in page.text
    assert "photos by familiarity" in page.values("aria-label")


def test_where_there_are_too_few_cars_of_no_class_the_page_says_so():
    page = render(draw(12, 60), known=known(with_unknown=False))

    assert "There are too few cars of no class to say how many are found." in page.text
    assert "cars of no class 44" not in page.text
    assert "Cars of no class" not in render(draw(12, 60)).text


def test_text_of_a_night_is_text():
    page = render_page(make_input(draw(3, 60), newest=[night(1, at=HOSTILE), night(2)]))

    assert "<script" not in page


def test_years_are_shown_beside_the_median_and_why_there_are_none():
    figures = {"photos": 90, "vehicles": 42, "one_year": 2, "error": 1.84, "median_error": 2.91, "held": 0.81,
               "low": 0.74, "high": 0.86, "years": 5.1, "all_years": 9.7, "listings": 0,
               "listings_held": None}  # fmt: skip
    page = render(draw(12, 60), years={"said": "Its guess is near.", "share": 0.8, "figures": figures})
    none = render(draw(12, 60), years={"said": "The model tells no years: too few cars."})

    assert "Its guess is near." in page.text
    assert "test cars 40 1.84 2.91 81.0 % 74.0 % 86.0 % 5.1 9.7 –" in page.text
    assert "2 test cars of classes with one year do not count" in page.text
    assert "The model tells no years: too few cars." in none.text
    assert "Years off" not in none.text
