"""Several scores become one ranking, which shows its parts."""

import math

import numpy as np
import pytest

from bnao.errors import RankingError
from bnao.metrics import kendall_tau
from bnao.strategies.fusion import fuse, landmark_places
from bnao.streams import stream

N = 200
TRUTH = stream(0, "truth").standard_normal(N)


def noisy(amount, name):
    return TRUTH + amount * stream(0, name).standard_normal(N)


def test_without_landmarks_it_is_the_mean_rank_whatever_the_units():
    fused = fuse({"score": [0.1, 0.2, 0.4, 0.3], "size": [1e6, 3e6, 2e6, 4e6]})

    # ranks 0 1 3 2 and 0 2 1 3, of 3
    assert fused.values.tolist() == pytest.approx([0, 3 / 6, 4 / 6, 5 / 6])
    assert dict(fused.weights) == {"score": 0.5, "size": 0.5}


def test_two_noisy_scores_joined_are_better_than_each():
    parts = {"one": noisy(1, "one"), "two": noisy(1, "two")}

    joined = kendall_tau(fuse(parts).values, TRUTH)

    assert joined > max(kendall_tau(part, TRUTH) for part in parts.values()) + 0.05


def test_landmarks_take_the_weight_from_a_part_that_misleads():
    parts = {"good": noisy(0.3, "good"), "noise": stream(0, "noise").standard_normal(N)}
    places = landmark_places(fuse(parts).values, 20)

    fused = fuse(parts, {place: TRUTH[place] for place in places})

    assert fused.weights["good"] > 2 * abs(fused.weights["noise"])
    assert kendall_tau(fused.values, TRUTH) > kendall_tau(fuse(parts).values, TRUTH) + 0.1


def test_a_few_landmarks_hardly_move_parts_that_are_good_alike():
    parts = {"one": noisy(0.5, "one"), "two": noisy(0.5, "two")}
    places = landmark_places(fuse(parts).values, 5)

    fused = fuse(parts, {place: TRUTH[place] for place in places})

    assert abs(fused.weights["one"] - 0.5) < 0.1


def test_what_is_not_defined_ranks_last_and_is_counted():
    fused = fuse({"naswot": [math.nan, 5.0, 4.0]})

    assert fused.values.tolist() == [0, 1, 0.5]
    assert fused.undefined_lines() == ["naswot is not defined for 1 of 3 genotypes, which it ranks last"]


def test_a_part_that_is_the_same_for_all_changes_no_order():
    with_it = fuse({"score": [0.1, 0.3, 0.2], "flat": [1, 1, 1]}).values

    assert np.argsort(with_it).tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ("parts", "landmarks", "told"),
    [
        ({}, None, "no scores to join"),
        ({"a": [1.0]}, None, "1 genotypes are no ranking; scores are joined for at least 2"),
        ({"a": [1, 2], "b": [1, 2, 3]}, None, "a has 2 scores and b 3"),
        ({"a": [1, 1], "b": [2, 2]}, None, "no part orders the genotypes: a and b are each the same for all"),
        ({"a": range(9)}, {0: 0.1, 1: 0.2}, "2 landmarks are too few to weigh scores by; train at least 5"),
        ({"a": range(9)}, dict.fromkeys(range(5), 0.1), "all 5 landmarks have the accuracy 0.1"),
        ({"a": range(9)}, {**dict.fromkeys(range(4), 0.1), 4: math.nan}, "the accuracy of landmark 4 is nan"),
        ({"a": range(9)}, dict(zip([0, 1, 2, 3, 9], range(5), strict=True)), "landmark 9 is not among the 9 genotypes"),
    ],
)
def test_what_cannot_be_joined_is_refused_in_one_line(parts, landmarks, told):
    with pytest.raises(RankingError, match=told):
        fuse(parts, landmarks)


@pytest.mark.parametrize(("n", "told"), [(4, "landmarks is 4; it must be 0 or >= 5"), (9, "there are 8 genotypes")])
def test_too_few_or_too_many_landmarks_are_refused(n, told):
    with pytest.raises(RankingError, match=told):
        landmark_places(range(8), n)
