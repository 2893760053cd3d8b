"""Structural features: what is dead does not count, and what is counted by hand."""

import numpy as np
import pytest

from bnao.space.notation.notations import parse
from bnao.space.spaces import SPACES
from bnao.strategies.features import _Cells, features_length, standardised, structure
from bnao.streams import stream

BENCH = SPACES["nas-bench-201"]


def cells(text, space=BENCH):
    codes = space.encode([parse(text, space)]).reshape(1, space.cells, len(space.places), 2)
    return _Cells.of(codes[:, 0], space)


def test_an_edge_is_live_where_it_carries_an_input_to_the_output():
    # the places: 1<-0; 2<-0, 2<-1; 3<-0, 3<-1, 3<-2
    chain = cells("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_1x1~2|")
    unread = cells("|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|skip_connect~1|none~2|")
    unfed = cells("|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|")

    assert chain.live[0].tolist() == [True, False, True, False, False, True]
    assert unread.live[0].tolist() == [True, False, False, False, True, False]
    assert unfed.live[0].tolist() == [False, False, False, True, False, False]


def test_weights_are_those_of_live_convolutions_alone():
    # 16 channels: 3x3 has 9 x 16 x 16 weights, 1x1 16 x 16
    assert cells("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_1x1~2|").weights == [
        2 * 9 * 256 + 256
    ]
    assert cells("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|").weights == [0]


def test_ways_are_counted_by_their_convolutions_and_measured():
    # two ways: one edge without weights, and three of which two have some
    ways = cells("|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|")._ways()[0]

    longest, shortest = ways[:2].tolist(), ways[2:4].tolist()  # in edges, and in operations with weights
    assert (longest, shortest) == ([3, 2], [1, 0])
    assert np.expm1(ways[-4:]).round().tolist() == [1, 0, 1, 0]  # ways with 0, 1, 2, 3 operations with weights


def test_a_cell_that_passes_nothing_on_has_finite_features():
    nothing = parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", BENCH)

    assert np.isfinite(structure([nothing], BENCH)).all()
    assert (structure([nothing], BENCH) == 0).sum() == features_length(BENCH) - 1  # the output alone is counted


@pytest.mark.parametrize("name", sorted(SPACES))
def test_every_space_has_features_that_depend_on_the_genotype_alone(name):
    space = SPACES[name]
    pool = space.random_genotypes(20, stream(0, "features"))

    found = structure(pool, space)

    assert found.shape == (20, features_length(space))
    assert np.isfinite(found).all()
    assert (structure(pool[3:4], space) == found[3]).all()
    assert np.abs(standardised(pool, space).mean(0)).max() < 2
