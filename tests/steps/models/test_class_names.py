"""What photos of today would have been called for an earlier model, also those that people have corrected."""

import pandas as pd

from carpipe import manifest
from carpipe.manifest import Work
from carpipe.steps import results
from carpipe.steps.models.class_names import class_map, names_then

APART = "version: 1\nunknown: keep\n"
MERGED = "version: 1\nunknown: keep\nclasses:\n  small: [fiat_500, fiat_panda]\n"
RULES_OF_CITY = "version: 1\nunknown: keep\nclasses:\n  city: [fiat_500, fiat_panda]\n"


def of_rules(session, text, *classes):
    work = Work("dataset", 3, "all", {"rules": text}, ("a", "b"), home="datasets")
    files, extra = {results.TAXONOMY: text.encode()}, {"classes": list(classes)}
    return manifest.commit(session.store, work, files, counts={}, extra=extra)


def photos(*rows):
    table = pd.DataFrame(rows, columns=["model", "class_name", "corrected", "corrected_model"])
    return table.astype("str").where(table.notna(), None)


def test_a_class_that_is_no_model_may_be_renamed(session):
    old, new = of_rules(session, MERGED, "small", "audi_a3"), of_rules(session, RULES_OF_CITY)
    assert class_map(session, old, new) == {"small": "city"}


def test_a_class_that_is_split_became_no_single_one(session):
    old, new = of_rules(session, MERGED, "small", "audi_a3"), of_rules(session, APART)
    assert class_map(session, old, new) == {}
    assert class_map(session, of_rules(session, f"{APART}#", "fiat_500", "audi_a3"), old) == {"fiat_500": "small"}


def test_a_corrected_photo_has_the_name_of_the_model_it_was_corrected_to(session):
    old, new = of_rules(session, MERGED), of_rules(session, APART)
    table = photos(
        ("audi_a3", "audi_a3", None, None),
        ("audi_a3", "fiat_500", "fiat_500", "fiat_500"),  # split since: then it was small
        ("fiat_500", "audi_a3", "audi_a3", "audi_a3"),
    )
    assert names_then(session, old, new, table).tolist() == ["audi_a3", "small", "audi_a3"]
    plain = table[["model", "class_name"]]
    assert names_then(session, old, new, plain.iloc[:1]).tolist() == ["audi_a3"]


def test_of_a_class_of_several_models_nobody_can_tell_which_it_was(session):
    old, new = of_rules(session, APART), of_rules(session, MERGED)
    table = photos(
        ("audi_a3", "small", "small", "fiat_500"),
        ("audi_a3", "small", "fiat_panda", "fiat_panda"),
        ("fiat_500", "small", None, None),
    )
    assert names_then(session, old, new, table).tolist() == ["small", "fiat_panda", "fiat_500"]
