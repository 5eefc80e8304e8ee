"""Files of corrections, out of spreadsheets as a rule."""

import csv
import io
from datetime import UTC, datetime

import pytest

from carpipe.errors import InputError
from carpipe.forms import LaterFormError
from carpipe.steps.listings.files import parse_corrections, to_csv
from carpipe.steps.listings.rows import Correction, known_of

ONE, TWO = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2))
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SAID = [Correction(ONE, "=1+1", "bmw;=2_3er", "@ann; b", NOON), Correction(TWO, "", "not-a-car")]
KNOWN = known_of({ONE: "audi_a3"}, {"audi_a4"})


def test_a_written_csv_reads_back_as_it_was():
    assert parse_corrections(to_csv(SAID)).said == SAID


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_what_a_spreadsheet_saves_otherwise_comes_back_as_it_was(separator):
    rows = csv.reader(io.StringIO(to_csv(SAID).decode(), newline=""))
    saved = io.StringIO(newline="")
    csv.writer(saved, delimiter=separator).writerows(rows)
    assert "'=1+1" in saved.getvalue()
    assert parse_corrections(f"\ufeff{saved.getvalue()}".encode()).said == SAID


def test_other_columns_are_passed_over_and_empty_rows_are_undecided():
    rows = f"listing,from,to,by,at,suggested,p,why\n{ONE},audi_a3,audi_a4,,,audi_a4,0.9,so\n{ONE},audi_a3,,,,x,0.1,\n"
    found = parse_corrections(rows.encode(), known=KNOWN)
    assert (found.said, found.undecided) == ([Correction(ONE, "audi_a3", "audi_a4")], 1)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (f"uuid,to\n{ONE},audi_a4\n", "The corrections need the columns listing and to; found uuid, to."),
        (f"listing,to\n{ONE},audi_a4\n\n{ONE},audi_a9\n", "Line 4 of the corrections says 'audi_a9'"),
        (f"listing,to\n{TWO},audi_a4\n", f"Line 2 of the corrections has the listing {TWO}, of which the inventory"),
        (f"listing,to\n{ONE},audi_a4,x\n", "Line 2 of the corrections has more fields than there are columns"),
        (f"listing,to,at\n{ONE},audi_a4,1.3.2026\n", "Line 2 of the corrections has the time '1.3.2026'"),
        (f"listing,to,at\n{ONE},audi_a4,2030-01-01\n", "which is yet to come"),
    ],
)
def test_what_cannot_be_right_is_refused_by_line(rows, message):
    with pytest.raises(InputError) as error:
        parse_corrections(rows.encode(), known=KNOWN, latest=NOON)
    assert message in str(error.value)


def test_a_file_that_is_not_in_utf_8():
    with pytest.raises(InputError, match="The corrections are not in UTF-8"):
        parse_corrections("listing,to\ncitroën,".encode("latin-1"))


def test_a_committed_row_of_a_later_form_is_refused():
    rows = f"listing,to,carpipe_form\n{ONE},audi_a4,2\n".encode()
    assert parse_corrections(rows).said
    with pytest.raises(LaterFormError, match="a correction of form 2"):
        parse_corrections(rows, committed="labels/classes/x.csv")
