"""Weighted sums of operations in place of a path."""

import numpy as np
import pytest

from bnao.config.settings import NetworkConfig
from bnao.errors import ConfigError, GenotypeError
from bnao.space.mixture import Mixture, check_mixture, mixture_of, mixture_places, mixture_shape
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
