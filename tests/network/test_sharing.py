"""Edges that share an operation's weights."""

import math

import numpy as np
import pytest

from bnao.config.settings import SHARE_OVER, NetworkConfig
from bnao.network.parameters import initial_weights, supernet_shapes
from bnao.network.sharing import split_weights


def network(space, share_over):
    return NetworkConfig(space=space, channels=8, cells=1, share_over=share_over)


def count(shapes, part):
    return sum(math.prod(shape) for name, shape in shapes.items() if part in name)


def test_a_cell_of_nas_bench_201_shares_one_set_of_operations_over_its_six_edges():
    own, shared = (count(supernet_shapes(network("nas-bench-201", each)), "nor_conv_3x3") for each in ("edge", "cell"))

    assert own == 6 * shared


def test_a_node_of_nas_bench_201_shares_one_set_over_its_edges():
    own, shared = (count(supernet_shapes(network("nas-bench-201", each)), "nor_conv_3x3") for each in ("edge", "node"))

    assert own == 2 * shared  # 1 + 2 + 3 edges at three nodes


def test_two_slots_of_one_source_share_a_set():
    own, shared = (count(supernet_shapes(network("darts", each)), "sep_conv_3x3") for each in ("edge", "source"))

    assert own == 2 * shared


def test_an_identity_of_stride_two_has_weights_for_the_inputs_of_a_reduction_cell_alone():
    names = [name for name in supernet_shapes(network("nao", "cell")) if "skip_connect" in name]

    assert {name.split(".")[1] for name in names} == {"1", "3"}  # N = 1: cells 1 and 3 reduce


@pytest.mark.parametrize("space", ["nao", "darts", "nas-bench-201"])
@pytest.mark.parametrize("share_over", SHARE_OVER[1:])
def test_split_weights_are_all_of_a_supernet_that_shares_nothing(space, share_over):
    shared = initial_weights(supernet_shapes(network(space, share_over)), seed=0)
    shapes = supernet_shapes(network(space, "edge"))

    split = split_weights(shared, shapes, share_over)

    assert {name: value.shape for name, value in split.items()} == shapes


def test_momenta_are_split_with_their_weights():
    shapes = supernet_shapes(network("nas-bench-201", "cell"))
    momentum = {f"momentum.{name}": np.full(shape, 3, np.float32) for name, shape in shapes.items()}

    split = split_weights(
        initial_weights(shapes, 0) | momentum, supernet_shapes(network("nas-bench-201", "edge")), "cell"
    )

    assert (split["momentum.cells.0.nodes.2.edges.1.nor_conv_3x3.kernel"] == 3).all()
