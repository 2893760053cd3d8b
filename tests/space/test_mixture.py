"""Weighted sums of operations in place of a path."""

import numpy as np
import pytest

from bnao.config.settings import NetworkConfig
from bnao.errors import ConfigError, GenotypeError
from bnao.space.genotype import Edge
from bnao.space.mixture import Mixture, check_mixture, mixed_cells, mixture_of, mixture_places, mixture_shape
from bnao.space.spaces import SPACES
from bnao.streams import stream


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_genotypes_mixture_counts_its_edges(space):
    (genotype,) = space.random_genotypes(1, stream(0, "mixture"))

    weights = mixture_of(genotype, space).weights

    assert weights.shape == mixture_shape(space)
    places = mixture_places(space)
    for cell, counts in zip(genotype.cells, weights, strict=True):
        edges = [(node, e.source, e.operation) for node, some in enumerate(cell.nodes) for e in some.edges]
        for (node, source), row in zip(places, counts, strict=True):
            assert row.tolist() == [edges.count((node, source, operation)) for operation in space.operations]


def test_weights_that_are_no_numbers_or_of_another_shape_are_refused():
    with pytest.raises(GenotypeError, match=r"shape \(2, 3\); it must be \(cells, places, operations\)"):
        Mixture(np.ones((2, 3)))
    bad = np.ones((1, 6, 5))
    bad[0, 2, 1] = np.inf
    with pytest.raises(GenotypeError, match=r"weights\[0, 2, 1\] is inf; every weight must be finite"):
        Mixture(bad)
    with pytest.raises(GenotypeError, match=r"\(1, 6, 5\); in space 'darts' with 4 nodes it is \(2, 14, 7\)"):
        check_mixture(Mixture(np.ones((1, 6, 5))), NetworkConfig(space="darts", share_over="source"))


def test_a_supernet_whose_edges_share_nothing_has_no_single_set_of_weights_for_a_place():
    mixture = Mixture(np.ones(mixture_shape(SPACES["darts"])))

    with pytest.raises(ConfigError, match="share_over is edge, so a node of space 'darts' has 2 sets of weights"):
        check_mixture(mixture, NetworkConfig(space="darts"))
    check_mixture(mixture, NetworkConfig(space="darts", share_over="source"))
    check_mixture(Mixture(np.ones((1, 6, 5))), NetworkConfig(space="nas-bench-201"))


def test_weights_are_a_copy_that_cannot_be_written_to():
    weights = np.zeros((1, 6, 5))
    mixture = Mixture(weights)
    weights[0, 0, 0] = 1

    assert mixture.weights[0, 0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        mixture.weights[0, 0, 0] = 1


def terms(mixture, network, slope="no"):
    return mixed_cells(mixture, network, slope, lambda weight, edge, idle: (weight, edge, idle))


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_the_cells_of_a_genotypes_mixture_read_and_give_out_what_its_own_do(space):
    network = NetworkConfig(space=space.name, share_over="source")
    for genotype in space.random_genotypes(5, stream(0, "mixed cells")):
        mixed = terms(mixture_of(genotype, space), network)

        for cell, own in zip(mixed, genotype.cells, strict=True):
            assert cell.outputs(space.rules.output) == own.outputs(space.rules.output)
            computed = {e.source for node in own.nodes for e in node.edges if e.operation != "none"}
            assert {edge.source for node in cell.nodes for _, edge, _ in node} == computed
            assert cell.live_states == own.live_states


def test_a_weight_of_zero_makes_no_term_unless_all_slopes_are_asked_for():
    space, network = SPACES["nas-bench-201"], NetworkConfig(space="nas-bench-201")
    weights = np.zeros(mixture_shape(space))
    weights[0, 1, space.operations.index("nor_conv_3x3")] = 0.5  # node 1 from state 0

    (used,), (everything,) = (terms(Mixture(weights), network, slope) for slope in ("used", "all"))

    operation = space.operations.index("nor_conv_3x3")
    assert used.nodes == ((), (((0, 1, operation), Edge(0, "nor_conv_3x3"), False),), ())
    assert [len(node) for node in everything.nodes] == [4, 8, 12]  # none gives zeros, and is left out
    assert sum(idle for node in everything.nodes for *_, idle in node) == 23
    assert used.read == everything.read == {0}
    assert used.outputs("loose nodes") == (1, 2, 3)
    assert used.outputs("loose ends") == (1, 2, 3)
    assert used.outputs("last node") == (3,)
