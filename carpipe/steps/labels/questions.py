"""The questions that people answer of photos: whether one shows a car from outside, and from where.

Photos are drawn, labelled and kept alike for both; what differs stands here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from carpipe.steps.labels import files, store
from carpipe.steps.labels.rows import LABELS, Label, Row, check_row
from carpipe.steps.people.files import write_csv
from carpipe.steps.session import Session
from carpipe.steps.viewpoints import rows as view_rows
from carpipe.steps.viewpoints import store as view_store
from carpipe.viewpoints import VIEWS as VIEW_WORDS
from carpipe.weights.contract import CAR, NOT_CAR

if TYPE_CHECKING:
    import pandas as pd

Name = Literal["cars", "views"]
# A row as people hand it in: `key`, `label`, `by`, `at`, and `taken_back` or not, as texts.
Cells = Mapping[str, str]
# Where the filter has said nothing.
UNTOLD = {"word": "", "p": float("nan"), "sure": 0.0}
EPSILON = 1e-9


@dataclass(frozen=True)
class Question:
    """One of them. Labels are `carpipe.steps.people.store.Said`, of the question's own type.

    Attributes:
        words: the answers.
        column: of a CSV that holds the answer, beside `key`.
        check: the label of a row, None where nobody decided; raises InputError.
        read: every label that was given and not taken back; `known` holds what was read before, `until` ends it.
        add: keep labels, each with who gave it and when, given the session and the time of the import.
        told: the column of photo tables that says how sure the filter is.
        predict: of a photo table, by name of a column: `word`, the answer of the filter; `p`, its probability, null
            where it has said nothing; `sure`, from 0 to 1.
        unsure_at: the value of it at which the filter is least sure.
        untold: says that no photo has that column yet.
    """

    words: Sequence[str]
    column: str
    check: Callable[[Cells], Any]
    read: Callable[..., list[Any]]
    add: Callable[..., None]
    told: str
    predict: Callable[[Session, "pd.DataFrame"], dict[str, Any]]
    unsure_at: Callable[[Session], float]
    untold: str

    def blank_csv(self, keys: Sequence[str]) -> bytes:
        """A CSV of photos with the answer left to fill in."""
        return write_csv(("key", self.column), ((key, "") for key in keys))


def _check_car(cells: Cells) -> Label | None:
    return check_row(Row("A row", **cells))


def _check_view(cells: Cells) -> view_rows.ViewLabel | None:
    return view_rows.check_view({**cells, "view": cells["label"]}, "A row of the view labels")


def _predict_cars(session: Session, photos: "pd.DataFrame") -> dict[str, Any]:
    """`sure` is how far p(car) is on the way from the threshold to certainty."""
    if CARS.told not in photos:
        return UNTOLD
    p, threshold = photos[CARS.told], session.config.filter.threshold
    sure = ((p - threshold) / max(1 - threshold, EPSILON)).where(
        p >= threshold, (threshold - p) / max(threshold, EPSILON)
    )
    return {"word": (p >= threshold).map({True: CAR, False: NOT_CAR}), "p": p, "sure": sure}


def _predict_views(session: Session, photos: "pd.DataFrame") -> dict[str, Any]:
    if VIEWS.told not in photos:
        return UNTOLD
    return {"word": photos["view"], "p": photos[VIEWS.told], "sure": photos[VIEWS.told]}


def _add_cars(session: Session, labels: Sequence[Label], *, at: datetime, by: str, known: store.Parsings) -> None:
    store.import_labels(session, files.to_csv(labels), at=at.isoformat(), by=by, known=known)


def _add_views(
    session: Session, labels: Sequence[view_rows.ViewLabel], *, at: datetime, by: str, known: view_store.Parsings
) -> None:
    view_store.import_views(session, view_rows.to_csv(labels), at=at.isoformat(), by=by, known=known)


CARS = Question(
    words=LABELS,
    column="label",
    check=_check_car,
    read=store.read_labels,
    add=_add_cars,
    told="p_car",
    predict=_predict_cars,
    unsure_at=lambda session: session.config.filter.threshold,
    untold="Nothing was filtered yet",
)
VIEWS = Question(
    words=VIEW_WORDS,
    column="view",
    check=_check_view,
    read=view_store.read_views,
    add=_add_views,
    told="view_p",
    predict=_predict_views,
    unsure_at=lambda session: 0.0,
    untold="No filter has told views yet",
)
QUESTIONS: Mapping[Name, Question] = {"cars": CARS, "views": VIEWS}
