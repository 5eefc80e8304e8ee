"""Which listings and names are known, and how corrections stand."""

import pytest

from carpipe.cli import main
from carpipe.errors import InputError
from carpipe.steps.data.inventory import inventory
from carpipe.steps.data.listings import describe_corrections, known_listings

ONE, TWO, GONE = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
RULES = "version: 1\nunknown: keep\nclasses:\n  small: [fiat_500, fiat_panda]\nerased: [fiat_others]\n"


@pytest.fixture
def night(make_session, tmp_path):
    (tmp_path / "my.yaml").write_text(RULES)
    return make_session(classes__taxonomy=str(tmp_path / "my.yaml"), inventory__partition_photos=2)


def add(session, folder, listing, photo):
    name = f"raw/{folder}/7_{photo}_{listing}_{listing[:-2]}{photo:02}.jpg"
    session.store.put(name, b"x")


@pytest.fixture
def bucket(night):
    for photo, folder in enumerate(("audi_a3_2011", "audi_a3_2012", "audi_a4_2012")):
        add(night, folder, ONE, photo)
    inventory(night)
    add(night, "bmw_3er_2012", TWO, 9)
    inventory(night)
    return night


def test_without_an_inventory_nothing_is_known(night):
    with pytest.raises(InputError, match="There is no inventory yet"):
        known_listings(night)


def test_listings_of_all_nights_and_names_of_photos_and_rules_are_known(bucket):
    known = known_listings(bucket)
    assert known.listings == {ONE: "audi_a3", TWO: "bmw_3er"}, "the model that most photos have"
    assert known.names == {"audi_a3", "bmw_3er", "small", "fiat_500", "fiat_panda", "fiat_others"}


def test_a_forgotten_listing_that_has_come_back_is_unknown(bucket):
    bucket.store.put(f"stages/inventory/forgotten/{GONE}.json", b"{}")
    add(bucket, "bmw_3er_2012", GONE, 8)
    inventory(bucket)
    assert GONE not in known_listings(bucket).listings


def test_the_status_says_what_counts_what_fits_no_longer_and_who_disagrees(bucket):
    assert "Nothing was said" in describe_corrections(bucket)
    at = "2026-01-01T00:00:00Z"
    rows = [f"{ONE},small,ann,{at}", f"{ONE},not-a-car,bob,2026-01-02", f"{TWO},old_class,ann,{at}",
            f"{GONE},seller-is-right,bob,{at}"]  # fmt: skip
    bucket.store.put("labels/classes/x.csv", "\n".join(["listing,to,by,at", *rows]).encode())
    text = describe_corrections(bucket)
    assert text.startswith("3 listings: 1 corrected, 1 not-a-car, 0 cannot-tell, 1 seller-is-right\n")
    assert "1 of them are gone: the newest inventory has no photo of them" in text
    assert "1 of them were corrected to old_class, which neither the photos nor the taxonomy know" in text
    table = [line.split() for line in text.splitlines()]
    assert ["1", "0", "0", "0", "1", at, at, "ann"] in table
    assert text.splitlines()[-4:] == [
        "People disagree about 1 of them:",
        ONE,
        f"  small     {at}  ann",
        "  not-a-car 2026-01-02T00:00:00Z  bob  (counts)",
    ]


def test_commands(bucket, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("CARPIPE_STORE", bucket.store.url)

    def run(*arguments, code=0):
        assert main(["--set", f"classes.taxonomy={tmp_path / 'my.yaml'}", "listings", *arguments]) == code
        return "".join(capsys.readouterr())

    assert run("correct", ONE, "Small", "--by", "ann").startswith(f"{ONE}: small (was audi_a3, by ann, 20")
    assert "Did you mean 'bmw_3er'" in run("correct", TWO, "bmw_3", code=1)
    assert "1 correction written" in run("export", str(tmp_path / "out.csv"))
    assert "nothing added: " in run("import", str(tmp_path / "out.csv"))
    (tmp_path / "in.csv").write_text(f"listing;to\n{TWO};cannot-tell\n{ONE};\n")
    assert "1 correction added as labels/classes/" in run("import", str(tmp_path / "in.csv"), "--by", "bob")
    assert "2 listings: 1 corrected, 0 not-a-car, 1 cannot-tell" in run("status")
