"""The arithmetic behind the progress display and the final tables."""

import io
import itertools
import math

import pytest
from attrs import evolve
from pretend_backend import BACKEND
from rich.console import Console

from bnao.cli.figures import duration, percent
from bnao.cli.progress import Smoothed, Speeds, Track, line, picture
from bnao.cli.reports import balance_line, pool_line, random_line, table
from bnao.config.fields import build
from bnao.config.settings import ControllerConfig, SearchConfig
from bnao.config.studies import StudyConfig
from bnao.evaluation.comparison import against_random
from bnao.events import phase
from bnao.space.spaces import SPACES
from bnao.strategies.balance import balance
from bnao.strategies.plan import search_plan
from bnao.strategies.result import Ranked, SearchResult
from bnao.streams import stream
from bnao.studies.ranking import study_ranking
from bnao.studies.sets import study_ranking_sets
from bnao.testing import small_dataset
from tests.strategies.test_rounds import CountingSupernet

GENOTYPES = SPACES["nao"].random_genotypes(4, stream(0, "progress"))
RANKED = Ranked(
    GENOTYPES[0], score=0.8, standard_error=0.01, size=1.0, parameters=1, multiply_adds=1, round=1, updates=1,
    expected_updates=1.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (3599.4, "59:59"), (3600, "1:00:00"), (90_061, "25:01:01")]
)
def test_a_duration_is_minutes_or_hours(seconds, text):
    assert duration(seconds) == text


def test_a_smoothed_constant_is_the_constant_from_the_first_value_on():
    smoothed = Smoothed(0.9)

    assert [smoothed.add(2.5) for _ in range(3)] == pytest.approx([2.5] * 3)


def test_smoothing_weighs_each_earlier_value_by_a_power_of_keep():
    smoothed = Smoothed(0.5)
    smoothed.add(1.0)
    smoothed.add(2.0)

    assert smoothed.add(6.0) == pytest.approx((0.25 * 1 + 0.5 * 2 + 1 * 6) / 1.75)


def test_the_time_left_is_the_units_left_at_the_speed_measured():
    speeds = Speeds({"score": 0.5, "step": 1.0})
    assert speeds.left({"step": 3}) is None

    speeds.add("step", units=1, seconds=2.0)
    guessed = speeds.left({"step": 3, "score": 4})
    speeds.add("score", units=10, seconds=1.0)

    assert guessed == pytest.approx(3 * 2 + 4 * 0.5 * 2)
    assert speeds.left({"step": 3, "score": 4}) == pytest.approx(3 * 2 + 4 * 0.1)


# --- a search

SMALL = SearchConfig(rounds=3, pool=10, new=4, rerank_epochs=1, controller=ControllerConfig(epochs=7))


def track_of(plan):
    track = Track(start=0.0)
    assert track.update(plan, now=0.0) is None
    return track


def search_track(config=SMALL, scored_images=100):
    """The track of a search that trains 20 steps a round, as its plan is told."""
    supernet = CountingSupernet()
    supernet.scored_images = scored_images
    return track_of(search_plan(config, supernet, 20, fuses=False, reranks=bool(config.rerank_epochs)))


def step(number, of_round=1):
    return {"event": "step", "round": of_round, "step": number, "steps": 20, "loss": 1.5, "rate": 0.025}


def test_what_is_left_of_a_search_is_counted_by_kind_of_work():
    track = search_track()
    track.update(step(5), now=1.0)

    # 15 steps here and two rounds of 20; 10, 14 and 18 to score; two trainings of 7 epochs; two pools; five best
    assert track.work.left() == {"step": 55, "score": 42, "controller": 14, "pool": 2, "rerank": 5}
    # in the second round, 6 of 14 scored
    track.update({"event": "score", "round": 2, "scored": 6, "of": 14, "best": 0.5}, now=2.0)
    assert track.work.left() == {"step": 20, "score": 26, "controller": 7, "pool": 1, "rerank": 5}
    # the controller behind the second round, 3 of 7 epochs
    track.update({"event": "controller", "round": 2, "epoch": 3, "epochs": 7, "loss": 0.1, "rate": 0.1}, now=3.0)
    assert track.work.left() == {"step": 20, "score": 18, "controller": 4, "pool": 1, "rerank": 5}


def test_where_only_new_genotypes_are_scored_there_are_fewer_to_score():
    track = search_track(evolve(SMALL, rescore="new"))

    assert track.work.left()["score"] == 10 + 4 + 4


def test_a_search_that_ends_early_has_nothing_left_but_what_follows_its_rounds():
    track = search_track()
    track.update({"event": "exhausted", "round": 2, "message": "no more"}, now=1.0)
    track.update({"event": "rerank", "trained": 2, "of": 5, "accuracy": 0.5}, now=2.0)

    assert track.work.left() == {"rerank": 3}


def test_what_was_done_before_a_resume_is_neither_left_nor_measured():
    track = search_track(evolve(SMALL, rerank_epochs=0, controller=ControllerConfig(controller="random")))
    track.update(step(19, of_round=3), now=1.0)

    # a step, and eighteen scores on 100 dev images, each a third of 100 / 64 steps
    assert track.work.left() == {"step": 1, "score": 18}
    assert track.speeds.left(track.work.left()) == pytest.approx(1 + 18 * 100 / 64 / 3)


def test_trainings_apart_are_counted_by_epochs_also_after_a_resume():
    track = search_track(evolve(SMALL, sharing="none", alone_epochs=6, rerank_epochs=0))
    track.update({"event": "pool", "round": 1, "genotypes": 10, "sources": {"random": 10}, "duplicates": 0}, now=0.0)
    # the first two were trained before
    track.update(
        {
            "event": "alone",
            "round": 1,
            "genotype": 2,
            "epoch": 1,
            "epochs": 6,
            "loss": 2.0,
            "rate": 0.02,
            "seconds": 1.0,
        },
        now=1.0,
    )

    # 18 genotypes of six epochs each, of which 13 are done
    assert track.work.left()["alone"] == 18 * 6 - 13
    assert line(track) == "round 1/3  trained alone 2/10  epoch 1/6  loss 2.000  rate 0.0200  left 1:35"
    track.update({"event": "round", "round": 2, "rounds": 3, "best": 0.5, "genotype": ""}, now=2.0)
    track.update({"event": "pool", "round": 3, "genotypes": 4, "sources": {"random": 4}, "duplicates": 0}, now=3.0)
    assert track.work.left()["alone"] == 4 * 6


def test_a_line_tells_round_step_loss_rate_best_and_time_left():
    track = search_track(evolve(SMALL, rounds=1, rerank_epochs=0, pool=2, data=SMALL.data), scored_images=192)
    track.update({"event": "pool", "round": 1, "genotypes": 2, "sources": {"random": 2}}, now=0.0)
    track.update(step(1), now=1.0)

    # 19 steps of a second, and two genotypes to score on 3 batches of 64 at a third of a step each
    assert line(track) == "round 1/1  step 1/20  loss 1.500  rate 0.0250  left 0:21"

    track.update({"event": "score", "round": 1, "scored": 1, "of": 2, "best": 0.7124}, now=3.0)

    assert line(track) == "round 1/1  scored 1/2  best 71.2 %  left 0:02"


def test_pools_and_rounds_are_told_at_once_and_steps_are_not():
    track = search_track()

    told = [
        track.update({"event": "pool", "round": 2, "genotypes": 4, "sources": {"nao": 3, "random": 1}}, now=1.0),
        track.update(step(1, of_round=2), now=2.0),
        track.update({"event": "round", "round": 2, "rounds": 3, "best": 0.5, "genotype": ""}, now=3.0),
        track.update({"event": "exhausted", "round": 3, "message": "no more"}, now=3.0),
        track.update({"event": "rerank", "trained": 1, "of": 5, "accuracy": 0.625}, now=4.0),
        track.update({"event": "end", "best": "", "score": 0.5}, now=4.0),
    ]

    assert told == [
        "round 2/3  4 new genotypes (3 nao, 1 random)",
        None,
        "round 2/3 done  best 50.0 %",
        "round 3/3  no more",
        "trained alone 1/5  dev accuracy 62.5 %",
        None,
    ]


def test_scores_that_are_no_shares_are_told_as_they_are():
    track = search_track(scored_images=None)

    assert track.update({"event": "round", "round": 1, "best": 71.016}, now=1.0) == "round 1/3 done  best 71.016"


# --- an evaluation


def test_an_evaluation_tells_its_place_and_what_is_left():
    loops = {"genotype": (1, 3), "repeat": (1, 2), "epoch": (1, 10), "step": (1, 5)}
    track = track_of({"event": "plan", "phases": [phase("step", "trained", loops=loops, weight=1.0)]})
    place = {"genotype": 2, "of": 3, "repeat": 1}
    epoch = {**place, "epoch": 4, "epochs": 10, "loss": 0.5, "rate": 0.01}

    told = [track.update({"event": "step", **epoch, "step": 5, "steps": 5}, now=2.0)]
    told.append(track.update({"event": "epoch", **epoch, "seconds": 9.5}, now=2.0))

    assert told == [None, None]
    assert (  # 36 epochs of 5 steps of 2 s
        line(track) == "genotype 2/3  repeat 1/2  epoch 4/10  step 5/5  loss 0.500  rate 0.0100  left 6:00"
    )
    assert track.share == pytest.approx(24 / 60)
    told = track.update({"event": "trained", **place, "test_error": 0.125}, now=3.0)
    assert told == "genotype 2/3  repeat 1/2  test error 12.50 %"


def test_the_live_picture_is_three_lines():
    track = search_track()
    track.update(step(10), now=1.0)
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=60, legacy_windows=False)

    console.print(picture(track, "search", console))

    first, bar, figures = console.file.getvalue().rstrip("\n").split("\n")
    assert first == "search  round 1/3  step 10/20"
    assert bar.count("━") > 20
    assert figures.startswith("loss 1.500   rate 0.0250   left ")


# --- tables


def test_columns_are_aligned_to_the_right_but_for_those_named():
    assert table(["n", "from"], [["1,000", "a"], ["2", "bc"]], left=["from"]) == [
        "    n  from",
        "1,000  a",
        "    2  bc",
    ]


def test_a_percentage_that_is_not_known_is_a_dash():
    assert (percent(0.12345, 2), percent(math.nan)) == ("12.35 %", "-")


def test_the_balance_of_a_search_is_a_chi_square_against_equation_4():
    ranked = [
        evolve(RANKED, round=1, updates=12, expected_updates=10.0),
        evolve(RANKED, round=1, updates=8, expected_updates=10.0),
        evolve(RANKED, round=2, updates=1, expected_updates=4.0),
        evolve(RANKED, round=2, updates=19, expected_updates=16.0),
    ]

    found = balance(ranked)

    assert found.steps == 40
    assert found.chi_square == pytest.approx(4 / 10 + 4 / 10 + 9 / 4 + 9 / 16)
    assert found.degrees == 2  # four genotypes, and each of two rounds fixes a sum
    assert found.largest == pytest.approx(-3 / 2)
    assert balance_line(found).endswith("(1.81 each), the largest deviation -1.5 standard deviations")


def test_genotypes_that_are_hardly_ever_drawn_are_counted_together():
    expected = [0.02, 0.3, 0.9, 9.0, 10.0]
    updates = [1, 0, 0, 9, 10]
    ranked = [evolve(RANKED, round=1, updates=n, expected_updates=e) for n, e in zip(updates, expected, strict=True)]

    found = balance(ranked)

    assert found.degrees == 2  # 0.02, 0.3 and 0.9 are one
    assert found.largest == pytest.approx((1 - 1.22) / 1.22**0.5)  # and not (1 - 0.02) / 0.02 ** 0.5 = 6.9


def test_where_nothing_was_trained_there_is_no_balance():
    assert balance([evolve(RANKED, updates=0, expected_updates=0.0)] * 3) is None


def test_the_best_score_stands_beside_the_median_of_the_first_pool():
    scores = [(0.9, 2), (0.8, 1), (0.7, 1), (0.1, 1)]
    ranked = tuple(evolve(RANKED, score=score, round=number) for score, number in scores)

    assert pool_line(SearchResult("nao", 0, ranked)) == (
        "of 4 genotypes scored, the first has 90.0 %; the median of the 3 random ones of round 1 is 70.0 %"
    )


def test_the_found_ones_are_compared_with_the_median_of_random_ones():
    found = against_random([0.10, 0.20], [0.30, 0.50, 0.20])

    assert (found.first, found.top_mean, found.random_median) == (0.10, pytest.approx(0.15), 0.30)
    assert random_line(found) == (
        "test error: 10.00 % for the genotype ranked first, 15.00 % on average over the top 2; "
        "the median of 3 random ones of the first pool is 30.00 %\n"
        "gain over random: the top 2 have 18.33 [3.33, 35.00] points less test error on average than the 3 random ones "
        "(95% bootstrap interval over genotypes)"
    )


def test_a_gain_whose_interval_includes_zero_shows_nothing_yet():
    assert random_line(against_random([0.10, 0.40], [0.30, 0.20])).endswith("includes zero: it shows nothing yet)")


def test_a_single_genotype_has_no_gain_with_an_interval():
    found = against_random([0.10], [0.30, 0.20])

    assert found.gain is None
    assert "gain" not in random_line(found)


# --- a ranking study

STUDY = {
    "genotypes": 6, "seeds": 2, "repeats": 2, "alone_epochs": 3, "resamples": 100, "short": "1,2",
    "network": {"channels": 4, "cells": 1, "nodes": 2}, "training": {"batch_size": 40},
}  # fmt: skip


@pytest.mark.parametrize("marks", ["own", "along"])
@pytest.mark.parametrize("sizes", ["diverse", "diverse,spread"])
def test_the_work_left_of_a_study_falls_to_nothing_by_what_its_events_tell(marks, sizes):
    config = build(StudyConfig, {**STUDY, "marks": marks, "epochs": "1,3", "sizes": sizes})
    dataset, sets = small_dataset(), sizes.count(",") + 1
    lengths = 1 + 3 if marks == "own" else 3
    begun = {"epoch": 6 * 2 * 3, "step": 4 * lengths * 2 * 2, "score": 6 * 2 * 2 * 2, "short_epoch": 6 * 2 * (1 + 2)}
    track, lefts, lines = Track(start=0.0), [], []

    def listen(event):
        lines.append(track.update(event, now=float(len(lines))))
        lefts.append(dict.fromkeys(begun, 0) | track.work.left())

    study = study_ranking_sets if sets > 1 else study_ranking
    study(config, BACKEND, dataset, dataset.joined(), listen=listen)

    assert lefts[0] == {kind: sets * units for kind, units in begun.items()}  # as the plan is told, before all else
    for kind in begun:
        counts = [left[kind] for left in lefts]
        assert counts == sorted(counts, reverse=True)
        assert {a - b for a, b in itertools.pairwise(counts)} <= {0, 1, 6}  # all six genotypes are scored at once
        assert counts[-1] == 0
    told = [line for line in lines if line is not None]
    if sets > 1:
        assert "diverse  alone  genotype 1/6  repeat 1/2" in told[0]
        assert "spread  alone for 2 epochs  genotype 6/6, seed 1  dev error" in told[-1]


def test_log_likelihoods_are_no_percentages():
    scores = [search_track(evolve(SMALL, score=score)) for score in ("accuracy", "log-likelihood")]
    event = {"event": "round", "round": 1, "rounds": 2, "best": -1.25, "genotype": ""}

    assert ["-125.0 %" in (track.update(event, 0.0) or "") for track in scores] == [True, False]
