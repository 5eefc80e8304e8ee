"""Confused pairs: against chance, in both directions, and groups of which every two are confused."""

import numpy as np
import pytest
from scipy.stats import beta, binom

from carpipe.evaluation.confusion import ALPHA, chance_of, find_links, group, lower_bound

CLASSES = [f"c{number:02}" for number in range(30)]


def counts(*taken, cars=40):
    """Cars of 30 classes, all right but for `taken`: (truth, answer, how many)."""
    table = np.diag(np.full(len(CLASSES), cars))
    for truth, answer, number in taken:
        table[truth, answer] += number
        table[truth, truth] -= number
    return table


def pairs(table):
    return [(link.first, link.second) for link in find_links(table, CLASSES)]


def test_both_directions_are_needed():
    assert pairs(counts((0, 1, 12), (1, 0, 10))) == [("c00", "c01")]
    assert pairs(counts((0, 1, 30))) == []
    assert pairs(counts((0, 1, 30), (1, 0, 1))) == []  # one car is nothing


def test_a_class_that_draws_cars_of_all_classes_is_nobodys_twin():
    drawn = [(other, 0, 9) for other in range(1, 30)]
    spread = [(0, other, 1) for other in range(1, 30)]
    assert pairs(counts(*drawn, *spread)) == []


def test_a_confusion_that_is_proven_but_rare_is_no_reason():
    rare = counts((0, 1, 100), (1, 0, 100), cars=5000)
    assert (lower_bound(rare, rare.sum(axis=1)[:, None], alpha=1e-6) > chance_of(rare))[[0, 1], [1, 0]].all()
    assert pairs(rare) == []


def test_more_pairs_ask_for_more_proof():
    few = counts((0, 1, 6), (1, 0, 6), cars=20)
    many = np.diag(np.full(1000, 20))
    many[:30, :30] = few
    of_few, of_many = find_links(few, CLASSES), find_links(many, [f"c{number:04}" for number in range(1000)])
    assert of_many[0].bounds[0] < of_few[0].bounds[0]
    assert of_many[0].bounds[0] == pytest.approx(beta.ppf(ALPHA / (1000 * 999 / 2), 6, 15))


def test_the_bound_is_where_as_many_would_be_a_rare_accident():
    low = float(lower_bound(np.array([7]), np.array([40]), alpha=0.01)[0])
    assert binom.sf(6, 40, low) == pytest.approx(0.01)
    assert lower_bound(np.array([0]), np.array([40]), alpha=0.01)[0] == 0


def test_chance_alone_hardly_ever_links_a_pair():
    """Errors fall on any class: in 400 worlds at most one in twenty may have a link at all."""
    rng = np.random.default_rng(5)
    found = 0
    for _ in range(400):
        wrong = rng.multinomial(rng.binomial(25, 0.4, 12), np.full(11, 1 / 11))
        table = np.array([np.insert(row, place, 25 - row.sum()) for place, row in enumerate(wrong)])
        found += bool(find_links(table, [f"c{number:02}" for number in range(12)]))
    assert found <= 400 * ALPHA


def test_a_group_wants_every_two_of_it_linked():
    chain = counts((0, 1, 14), (1, 0, 14), (1, 2, 9), (2, 1, 9))
    assert pairs(chain) == [("c00", "c01"), ("c01", "c02")]
    assert group(find_links(chain, CLASSES)) == [("c00", "c01")]  # the strongest link of the chain
    whole = counts(*[(a, b, 12) for a in range(3) for b in range(3) if a != b])
    assert group(find_links(whole, CLASSES)) == [("c00", "c01", "c02")]


def test_classes_without_cars_are_no_trouble():
    table = counts((0, 1, 12), (1, 0, 10))
    table[5] = 0
    assert pairs(table) == [("c00", "c01")]
    assert find_links(np.zeros((3, 3), np.int64), ["a", "b", "c"]) == []
