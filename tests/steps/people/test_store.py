"""What labels and corrections have in common: what counts, and tables of people."""

from datetime import UTC, datetime

from carpipe.steps.listings.rows import Correction
from carpipe.steps.people.store import current, describe_people, disputed

ONE, TWO = "1", "2"
DAYS = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3)]


def said(about, word, by, day):
    return Correction(about, "", word, by, DAYS[day])


def test_the_last_of_the_list_counts_and_what_was_said_twice_is_told_once():
    words = [said(ONE, "a", "ann", 0), said(ONE, "b", "bob", 1), said(ONE, "a", "ann", 0), said(TWO, "a", "ann", 2)]
    assert {about: one.word for about, one in current(words).items()} == {ONE: "a", TWO: "a"}
    assert [one.word for one in disputed(words)[ONE]] == ["b", "a"]
    assert [*disputed(words)] == [ONE]


def test_columns_of_people_are_as_wide_as_their_names():
    words = [said(ONE, "a", "ann", 0), said(ONE, "a-long-column", "bob", 1), said(TWO, "a", "", 2)]
    head, *rows = describe_people(
        words, {name: lambda one, name=name: one.word == name for name in ("a", "a-long-column")}
    )
    assert head.startswith("        a a-long-column overruled   first")
    assert [row.split()[:3] + row.split()[5:] for row in rows] == [
        ["1", "0", "0", "(unknown)"], ["0", "0", "1", "ann"], ["0", "1", "0", "bob"]
    ]  # fmt: skip
    assert {row.index("2026") for row in rows} == {head.index("first")}
