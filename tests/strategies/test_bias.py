"""What a search's ranking favours: size, and operations without parameters."""

import pytest

from bnao.space.genotype import Genotype
from bnao.strategies.bias import parameter_free_share, size_bias
from bnao.strategies.result import Ranked, SearchResult

SMALL = Genotype.parse("0:skip_connect+1:max_pool_3x3|0:avg_pool_3x3+1:avg_pool_3x3", output="loose ends")
MIXED = Genotype.parse("0:skip_connect+1:sep_conv_3x3|0:avg_pool_3x3+1:sep_conv_5x5", output="loose ends")
LARGE = Genotype.parse("0:sep_conv_5x5+1:sep_conv_5x5|0:sep_conv_3x3+1:sep_conv_5x5", output="loose ends")


def result(*entries):
    """A search's result of genotypes with a score, a size and a round, best first."""
    ranked = [Ranked(genotype, score, None, size, 1, 1, number, 0, 0.0) for genotype, score, size, number in entries]
    return SearchResult("nao", 0, tuple(ranked))


def test_the_share_of_edges_without_parameters_is_counted_over_both_cells():
    assert parameter_free_share([SMALL]) == 1
    assert parameter_free_share([LARGE]) == 0
    assert parameter_free_share([MIXED, LARGE]) == 2 / 8


def test_a_ranking_that_goes_against_size_has_a_tau_of_minus_1_and_its_best_are_held_against_the_first_pool():
    bias = size_bias(result((SMALL, 0.9, 10.0, 2), (MIXED, 0.8, 20.0, 1), (LARGE, 0.7, 30.0, 1)), top=1)

    assert bias.by_size.value == -1
    assert (bias.by_size.n, bias.top) == (3, 1)
    assert (bias.free_in_top, bias.free_in_pool) == (1, 2 / 8)
    assert bias.to_json()["kendall_tau_of_score_and_size"]["value"] == -1


def test_of_two_pairs_in_three_that_go_with_size_tau_is_a_third():
    bias = size_bias(result((LARGE, 0.9, 30.0, 1), (SMALL, 0.8, 10.0, 1), (MIXED, 0.7, 20.0, 1)), top=5)

    assert bias.by_size.value == pytest.approx(1 / 3)
    assert bias.top == 3
    assert bias.free_in_top == bias.free_in_pool == 6 / 12
