import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnao.errors import BnaoError, RankingError
from bnao.metrics import FIGURES as ALL_FIGURES
from bnao.metrics import (
    Estimate,
    better_tau,
    compare_rankings,
    count_pairs,
    kendall_tau,
    pairwise_accuracy,
    partial_kendall_tau,
    precision_at_top,
    precision_in_top,
    rank_agreement,
    spearman,
)

FIGURES = [pairwise_accuracy, kendall_tau, spearman]

# few different values, so that most lists have ties
score_lists = st.integers(0, 40).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(-3, 3).map(float), min_size=n, max_size=n)] * 2)
)


def same(a, b):
    return (math.isnan(a) and math.isnan(b)) or a == pytest.approx(b, abs=1e-12)


def sign(a, b):
    return (a > b) - (a < b)


def pairs_one_by_one(x, y):
    return [(sign(x[i], x[j]), sign(y[i], y[j])) for i, j in itertools.combinations(range(len(x)), 2)]


@given(score_lists)
def test_pairs_are_counted_as_one_by_one(lists):
    x, y = (np.unique(scores, return_inverse=True)[1] for scores in lists)

    counts = count_pairs(x, y)

    pairs = pairs_one_by_one(*lists)
    assert counts.concordant == sum(a * b > 0 for a, b in pairs)
    assert counts.discordant == sum(a * b < 0 for a, b in pairs)
    assert counts.tied_x == sum(a == 0 for a, b in pairs)
    assert counts.tied_y == sum(b == 0 for a, b in pairs)
    assert counts.tied_both == sum(a == b == 0 for a, b in pairs)
    assert counts.total == len(pairs)


@given(score_lists)
def test_pairwise_accuracy_is_the_share_of_pairs_one_by_one(lists):
    points = [
        {1: 1, 0: 0.5, -1: 0}[a * b] for a, b in pairs_one_by_one(*lists) if b != 0
    ]  # tied in prediction alone: one half

    assert same(pairwise_accuracy(*lists), sum(points) / len(points) if points else math.nan)


@given(score_lists)
def test_kendall_and_spearman_are_scipys(lists):
    stats = pytest.importorskip("scipy.stats")
    x, y = lists
    if len(set(x)) > 1 and len(set(y)) > 1:
        assert same(kendall_tau(x, y), stats.kendalltau(x, y).statistic)
        assert same(spearman(x, y), stats.spearmanr(x, y).statistic)
    else:
        assert math.isnan(kendall_tau(x, y))
        assert math.isnan(spearman(x, y))


@pytest.mark.parametrize("decimals", [1, 8])
def test_lists_of_15625_give_scipys_figures(decimals):
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    truth = rng.normal(size=15_625)
    predicted = (truth + rng.normal(size=15_625)).round(decimals)

    assert kendall_tau(predicted, truth) == pytest.approx(stats.kendalltau(predicted, truth).statistic, abs=1e-12)
    assert spearman(predicted, truth) == pytest.approx(stats.spearmanr(predicted, truth).statistic, abs=1e-12)


def memory_of(work):
    """The most bytes that a piece of work held at once."""
    tracemalloc.start()
    work()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


#: a matrix of all pairs has eight times as many bytes at least
PAIRS_OF_15_625 = 15_625**2 / 8


def test_lists_of_15625_make_no_matrix_of_pairs():
    rng = np.random.default_rng(0)
    predicted, truth = rng.random((2, 15_625))

    assert memory_of(lambda: [figure(predicted, truth) for figure in (*FIGURES, precision_at_top)]) < PAIRS_OF_15_625


@given(score_lists, st.randoms(use_true_random=False))
def test_order_in_the_lists_cannot_matter(lists, random):
    together = list(zip(*lists, strict=True))
    shuffled = random.sample(together, len(together))
    x, y = zip(*shuffled, strict=True) if shuffled else ((), ())

    for figure in (*FIGURES, precision_at_top):
        assert same(figure(x, y), figure(*lists))


@given(score_lists)
def test_reversing_the_prediction_mirrors_the_figures(lists):
    x, y = lists
    backwards = [-score for score in x]

    assert same(pairwise_accuracy(backwards, y), 1 - pairwise_accuracy(x, y))
    assert same(kendall_tau(backwards, y), -kendall_tau(x, y))
    assert same(spearman(backwards, y), -spearman(x, y))


@given(score_lists)
def test_only_the_order_of_scores_matters(lists):
    x, y = lists
    stretched = [math.exp(score) for score in x]

    for figure in FIGURES:
        assert same(figure(stretched, y), figure(x, y))


def test_a_constant_predictor_scores_one_half():
    assert pairwise_accuracy([0.1] * 5, truth=[1, 2, 3, 4, 5]) == 0.5


def test_pairs_tied_in_truth_are_left_out():
    # 1 and 1 are tied in truth; of the other five pairs the prediction orders 3 and 2 wrongly
    assert pairwise_accuracy([5, 1, 9, 8], truth=[1, 1, 2, 3]) == 0.8


def test_a_pair_tied_in_both_is_left_out_too():
    assert pairwise_accuracy([1, 1, 2], truth=[5, 5, 6]) == 1


def test_the_same_order_is_one_and_the_opposite_zero():
    truth = np.random.default_rng(0).random(1000)

    assert [figure(truth, truth) for figure in FIGURES] == [1, 1, 1]
    assert [figure(-truth, truth) for figure in FIGURES] == [0, -1, -1]


def test_kendalls_tau_of_tied_lists_is_as_counted_by_hand():
    # x has ties of 2 and 2, y of 3: of 10 pairs 8 are untied in x and 7 in y
    x, y = [1, 1, 2, 2, 3], [1, 2, 2, 2, 3]

    # pairs untied in both: (0,2) (0,3) (0,4) (1,4) (2,4) (3,4), all concordant
    assert kendall_tau(x, y) == pytest.approx(6 / math.sqrt(8 * 7))


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_architectures_have_no_order(n):
    for figure in FIGURES:
        assert math.isnan(figure([1.0] * n, [2.0] * n))


def test_a_constant_truth_has_no_order():
    for figure in FIGURES:
        assert math.isnan(figure([1, 2, 3], truth=[7, 7, 7]))


def test_infinite_scores_have_an_order():
    assert pairwise_accuracy([-math.inf, 0, math.inf], truth=[1, 2, 3]) == 1


def test_large_integers_that_are_equal_as_floats_differ():
    assert pairwise_accuracy([2**60, 2**60 + 1], truth=[1, 2]) == 1


def top_shares(predicted, truth, k):
    """The share for every way of breaking the ties, as likely one as another."""

    def tops(scores):
        orders = itertools.permutations(range(len(scores)))
        return [set(sorted(order, key=lambda i: -scores[i])[:k]) for order in orders]

    return [len(a & b) / k for a in tops(predicted) for b in tops(truth)]


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("predicted", "truth"),
    [
        ([1, 1, 2, 3], [1, 2, 2, 2]),
        ([1, 1, 1, 1], [4, 3, 2, 1]),
        ([1, 1, 0, 0], [0, 1, 1, 1]),
        ([1, 2, 3, 4], [2, 1, 4, 3]),
    ],
)
def test_precision_at_top_is_the_mean_over_all_ways_of_breaking_ties(predicted, truth, k):
    shares = top_shares(predicted, truth, k)

    assert precision_at_top(predicted, truth, k) == pytest.approx(sum(shares) / len(shares))


def test_a_constant_predictors_top_is_right_by_chance():
    assert precision_at_top([0] * 40, range(40), k=10) == pytest.approx(0.25)


def test_precision_at_more_than_there_are_is_not_defined():
    assert precision_at_top([1, 2], [1, 2], k=2) == 1
    assert math.isnan(precision_at_top([1, 2], [1, 2], k=3))


BAD_LISTS = [
    ([1, 2], [1, 2, 3], "predicted has 2 scores and truth 3; each architecture needs one in both"),
    ([1, math.nan, 3], [1, 2, 3], "predicted[1] is nan; each score must be a number"),
    ([1, 2, 3], [1, 2, math.nan], "truth[2] is nan; each score must be a number"),
    ([1, None], [1, 2], "predicted[1] is nan; each score must be a number"),
    ([1, "good"], [1, 2], "predicted are not all numbers; each score must be one"),
    ([[1, 2]], [1, 2], "predicted has shape (1, 2); it must be one row of scores, shape (n,)"),
    (0.5, 0.7, "predicted has shape (); it must be one row of scores, shape (n,)"),
]


@pytest.mark.parametrize(("predicted", "truth", "message"), BAD_LISTS)
@pytest.mark.parametrize("figure", [*FIGURES, precision_at_top, rank_agreement])
def test_lists_that_cannot_be_compared_are_refused_with_the_place(figure, predicted, truth, message):
    with pytest.raises(RankingError) as error:
        figure(predicted, truth)

    assert str(error.value) == message


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"k": 0}, "k is 0; it must be a whole number >= 1"),
        ({"k": 1.5}, "k is 1.5; it must be a whole number >= 1"),
        ({"resamples": 0}, "resamples is 0; it must be a whole number >= 1"),
        ({"level": 95}, "level is 95; it must be in (0, 1), such as 0.95"),
        ({"level": math.nan}, "level is nan; it must be in (0, 1), such as 0.95"),
    ],
)
def test_settings_out_of_bounds_are_refused(setting, message):
    with pytest.raises(RankingError) as error:
        rank_agreement([1, 2], [1, 2], **setting)

    assert str(error.value) == message


def test_a_ranking_error_is_a_value_error_and_one_of_bnaos():
    assert issubclass(RankingError, ValueError)
    assert issubclass(RankingError, BnaoError)


def test_agreement_holds_the_figures_and_their_number_of_architectures():
    rng = np.random.default_rng(0)
    truth = rng.random(60)
    predicted = truth + rng.random(60)

    agreement = rank_agreement(predicted, truth, k=5, resamples=50, level=0.9)

    expected = {figure.__name__: figure(predicted, truth) for figure in FIGURES}
    expected["precision_at_top"] = precision_at_top(predicted, truth, 5)
    expected["tau_in_better_half"] = better_tau(predicted, truth, 0.5)
    expected["tau_in_top_tenth"] = better_tau(predicted, truth, 0.1)
    expected["precision_in_top_tenth"] = precision_in_top(predicted, truth, 0.1)
    assert {name: estimate.value for name, estimate in agreement.items()} == expected
    assert {(estimate.n, estimate.level) for estimate in agreement.values()} == {(60, 0.9)}
    assert all(estimate.low <= estimate.value <= estimate.high for estimate in agreement.values())


def test_a_perfect_prediction_stays_perfect_in_every_resample():
    agreement = rank_agreement(range(30), range(30), resamples=200)

    for name in ("pairwise_accuracy", "kendall_tau", "spearman"):
        assert agreement[name] == Estimate(1, 1, 1, n=30, level=0.95)


def test_the_seed_alone_decides_the_intervals():
    rng = np.random.default_rng(0)
    predicted, truth = rng.random((2, 40))

    one, same_seed, other = (rank_agreement(predicted, truth, resamples=100, seed=seed) for seed in (1, 1, 2))

    assert one == same_seed
    assert one != other


def test_the_interval_of_a_correlation_is_as_wide_as_theory_says():
    # Fisher 1915: for normal scores atanh(r) has standard deviation 1 / sqrt(n - 3), Spearman's about 1.03 of it
    rng = np.random.default_rng(0)
    truth = rng.normal(size=1000)
    predicted = truth + rng.normal(size=1000)

    estimate = rank_agreement(predicted, truth, resamples=400)["spearman"]

    width = math.atanh(estimate.high) - math.atanh(estimate.low)
    assert width == pytest.approx(2 * 1.96 * 1.03 / math.sqrt(997), rel=0.15)


def test_a_lower_level_gives_a_narrower_interval():
    rng = np.random.default_rng(0)
    predicted, truth = rng.random((2, 40))

    wide, narrow = (rank_agreement(predicted, truth, level=level)["kendall_tau"] for level in (0.95, 0.5))

    assert wide.low < narrow.low < narrow.high < wide.high


def test_two_architectures_have_figures_from_the_resamples_that_draw_both():
    estimate = rank_agreement([1, 2], [1, 2], k=1, resamples=100)["kendall_tau"]

    assert estimate == Estimate(1, 1, 1, n=2, level=0.95)


@pytest.mark.parametrize("n", [0, 1])
def test_the_agreement_of_fewer_than_two_architectures_is_not_defined(n):
    agreement = rank_agreement([1.0] * n, [1.0] * n, resamples=10)

    for name, estimate in agreement.items():
        assert math.isnan(estimate.value), name
        assert math.isnan(estimate.low), name
        assert math.isnan(estimate.high), name
        assert estimate.n == n


def test_an_estimate_reads_as_value_and_interval():
    assert str(Estimate(0.7504, 0.7, 0.81, n=50, level=0.95)) == "0.750 [0.700, 0.810]"


# --- several ways of scoring against one truth


def test_a_ways_figure_is_the_mean_over_its_lists():
    truth = [1, 2, 3, 4]
    lists = [[1, 2, 3, 4], [4, 3, 2, 1], [1, 2, 4, 3]]

    found = compare_rankings({"mixed": lists}, truth, resamples=100)

    each = [1.0, 0.0, 5 / 6]
    assert found.each["mixed"]["pairwise_accuracy"] == pytest.approx(each)
    assert found.estimates["mixed"]["pairwise_accuracy"].value == pytest.approx(sum(each) / 3)


def test_one_list_has_the_interval_of_rank_agreement():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=30)
    scores = truth + rng.normal(size=30)

    one, alone = compare_rankings({"one": [scores]}, truth, resamples=200), rank_agreement(scores, truth, resamples=200)

    assert one.estimates["one"] == alone


def test_equal_ways_differ_by_exactly_nothing_and_a_better_one_by_more():
    rng = np.random.default_rng(1)
    truth = rng.normal(size=60)
    poor = [truth + 2 * rng.normal(size=60) for _ in range(3)]
    good = [truth + 0.3 * rng.normal(size=60) for _ in range(3)]

    found = compare_rankings({"poor": poor, "same": poor, "good": good}, truth, resamples=300)

    same, better = (found.differences[name]["kendall_tau"] for name in ("same", "good"))
    assert (same.value, same.low, same.high) == (0, 0, 0)  # the same lists are drawn for both: it is paired
    assert 0 < better.low < better.value < better.high


def test_the_interval_of_a_difference_holds_the_true_one_as_often_as_it_says():
    # of 100 studies of n = 40 and 2 lists each, 95 % of the intervals hold no difference where there is none
    held = 0
    for study in range(100):
        rng = np.random.default_rng(study)
        truth = rng.normal(size=40)
        ways = {name: [truth + rng.normal(size=40) for _ in range(2)] for name in "ab"}
        difference = compare_rankings(ways, truth, resamples=60, seed=study).differences["b"]["pairwise_accuracy"]
        held += difference.low <= 0 <= difference.high

    assert held / 100 > 0.85  # two lists and 40 genotypes are few: intervals of percentiles are then a little short


def test_a_way_without_a_list_is_refused():
    with pytest.raises(RankingError, match="'empty' has no list of scores"):
        compare_rankings({"empty": []}, [1, 2, 3])


def test_a_bootstrap_of_two_lists_of_15_625_makes_none_either():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=15_625)
    scores = truth + rng.normal(size=15_625)

    assert memory_of(lambda: rank_agreement(scores, truth, resamples=2)) < PAIRS_OF_15_625


# --- beyond size, and among the good


def test_tau_in_the_better_half_looks_at_the_best_by_truth_alone():
    truth = [1, 2, 3, 4, 5]

    # of five the better half are three: 3, 4 and 5, of whose pairs two are right
    assert better_tau([9, 8, 1, 3, 2], truth) == pytest.approx(1 / 3)
    assert better_tau([0, 0, 1, 3, 2], truth) == pytest.approx(1 / 3)


def test_who_ties_with_the_last_of_the_better_half_is_in_it():
    # of four the better half are two, and the second best truth is that of two
    assert better_tau([1, 2, 3, 4], [1, 2, 2, 3]) == kendall_tau([2, 3, 4], [2, 2, 3])
    assert math.isnan(better_tau([1, 2, 3], [5, 5, 5]))


def test_partial_tau_is_what_kendall_defined_and_undefined_for_size_itself():
    rng = np.random.default_rng(0)
    stats = pytest.importorskip("scipy.stats")
    x, y, z = rng.integers(30, size=(3, 200))
    y = y + z
    xy, xz, yz = (stats.kendalltau(*pair).statistic for pair in ((x, y), (x, z), (y, z)))

    assert partial_kendall_tau(x, y, z) == pytest.approx((xy - xz * yz) / ((1 - xz**2) * (1 - yz**2)) ** 0.5)
    assert math.isnan(partial_kendall_tau(z, y, given=z))
    assert math.isnan(partial_kendall_tau(x, y, given=np.zeros(200)))


def test_scores_that_are_size_and_noise_know_nothing_beyond_size():
    rng = np.random.default_rng(0)
    size = rng.random(2_000)
    truth, scores = size + rng.random(2_000), size + rng.random(2_000)

    agreement = rank_agreement(scores, truth, size=size, resamples=100)

    assert agreement["kendall_tau"].low > 0.3
    assert abs(agreement["partial_tau_given_size"].value) < 0.12  # tau is no correlation of normals: near 0, not 0


def test_precision_in_the_top_tenth_rounds_up():
    truth = np.arange(31)

    assert precision_in_top(truth, truth) == 1
    # k is 4; three of the four are right
    swapped = truth.copy()
    swapped[[27, 0]] = swapped[[0, 27]]
    assert precision_in_top(swapped, truth) == 0.75


@pytest.mark.parametrize("figure", [better_tau, precision_in_top])
def test_a_share_out_of_bounds_is_refused(figure):
    with pytest.raises(RankingError, match=r"share is 0; it must be in \(0, 1\], such as 0\.\d"):
        figure([1, 2], [1, 2], 0)


def test_sizes_of_another_number_are_refused():
    with pytest.raises(RankingError, match="size has 2 scores and truth 3; each architecture needs one in both"):
        rank_agreement([1, 2, 3], [1, 2, 3], size=[1, 2])


def test_differences_of_two_ways_have_the_new_figures_too():
    found = compare_rankings({"a": [[1, 3, 2, 4]], "b": [[1, 2, 3, 4]]}, [1, 2, 3, 4], size=[2, 1, 4, 3], resamples=50)

    assert set(found.differences["b"]) == set(ALL_FIGURES)
    assert found.estimates["a"]["partial_tau_given_size"].value == pytest.approx(
        partial_kendall_tau([1, 3, 2, 4], [1, 2, 3, 4], [2, 1, 4, 3])
    )
