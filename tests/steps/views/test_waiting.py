"""What waits for a person, and what no longer does once somebody has decided it."""

from datetime import UTC, datetime

from carpipe.steps.data.listings import known_listings
from carpipe.steps.labels.desk import LabelDesk
from carpipe.steps.listings.store import correct_listing
from carpipe.steps.views.waiting import disputed_labels, labels_of, waiting
from tests.plugins import bucket

AT = "2026-01-01T00:00:00Z"
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def said(cache):
    return {task.path: task.said for task in waiting(cache)}


def test_a_new_bucket_asks_for_labels(cache):
    assert said(cache) == {"/labels": "0 of 12 photos have a label; the car filter learns from each."}


def test_advice_waits_until_it_is_decided(cache, made, session):
    bucket.add_advice(session, made[0])
    assert said(cache)["/classes"] == "1 proposed change of the classes waits for a decision."


def test_a_suspect_waits_until_somebody_says_what_it_is(cache, made, session):
    listings = [*known_listings(session).listings][:2]
    bucket.add_suspects(session, made[0], listings)
    assert said(cache)["/review"] == "2 listings may be in the wrong class."
    correct_listing(
        session, listings[0], "seller-is-right", known=known_listings(session), at="2026-01-01T00:00:00Z", by="ann"
    )
    assert said(cache)["/review"] == "1 listing may be in the wrong class."


def test_people_who_disagree_are_asked_to_agree(cache, made, session):
    [listing, *_] = known_listings(session).listings
    for by, to in (("ann", "skoda_octavia"), ("bob", "volkswagen_golf")):
        correct_listing(session, listing, to, known=known_listings(session), at="2026-01-01T00:00:00Z", by=by)
    assert said(cache)["/review?queue=disputed"] == "People disagree about the class of 1 listing."


def test_a_photo_that_two_people_label_differently_leads_to_it_and_to_what_they_said(cache, made, session):
    for by, label in (("ann", "auto"), ("bob", "no_auto")):
        LabelDesk(cache).save([{"key": bucket.key(5), "label": label, "at": AT}], by=by, now=NOW)
    assert said(cache)["/photos?disputed=yes"] == "People disagree about the label of 1 photo."
    assert [*disputed_labels(cache)] == [bucket.key(5)]
    assert {(one.by, one.label) for one in labels_of(cache, bucket.key(5))} == {("ann", "auto"), ("bob", "no_auto")}
    assert labels_of(cache, bucket.key(6)) == []
