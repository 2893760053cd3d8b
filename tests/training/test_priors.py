"""What a ranking loss goes by: sizes, and scores of untrained networks."""

import math

import numpy as np
import pytest

from bnao.config.settings import NetworkConfig, SearchConfig, TrainingConfig
from bnao.errors import BackendError
from bnao.network.size import count_parameters
from bnao.space.spaces import SPACES
from bnao.streams import stream
from bnao.testing import small_dataset
from bnao.training.priors import Priors
from tests.pretend_backend import BACKEND

POOL = SPACES["nao"].random_genotypes(3, stream(0, "priors test"))
DATASET = small_dataset()


def config(prior):
    return SearchConfig(network=NetworkConfig(channels=4, cells=1), training=TrainingConfig(rank_loss=prior))


def priors(prior, backend=None):
    made = config(prior)
    return Priors(made, DATASET.network(made.network), DATASET, backend)


class Counted:
    """A backend of which it is counted how often it is asked, and that tells nothing of some genotypes."""

    name, probed, dead = "counted", 0, ()

    def __getattr__(self, name):
        return getattr(BACKEND, name)

    def probe(self, genotype, network, machine, *, seed):
        self.probed += 1
        probe = BACKEND.probe(genotype, network, machine, seed=seed)
        if genotype in self.dead:
            probe.jacobian = lambda images: np.zeros((len(images), 3))
        return probe


def test_without_a_ranking_loss_there_are_no_priors():
    assert priors("none")(POOL) == {}


def test_a_size_is_the_genotypes_own_networks():
    of = priors("parameters")(POOL)

    assert of == dict(zip(POOL, count_parameters(POOL, DATASET.network(config("none").network)), strict=True))


def test_a_zero_cost_score_is_asked_for_once_and_is_the_same_again():
    backend = Counted()
    of = priors("jacob_cov", backend)

    first = of(POOL[:2])
    again = of(POOL)

    assert backend.probed == 3
    assert [again[genotype] for genotype in POOL[:2]] == list(first.values())
    assert again == priors("jacob_cov", BACKEND)(POOL)
    assert len(set(again.values())) == 3


def test_a_genotype_whose_score_is_not_defined_comes_last():
    backend = Counted()
    backend.dead = POOL[1:2]

    assert min(priors("jacob_cov", backend)(POOL).items(), key=lambda item: item[1]) == (POOL[1], -math.inf)


def test_a_zero_cost_score_needs_a_backend():
    with pytest.raises(BackendError, match="rank_loss is naswot, which untrained networks are asked for"):
        priors("naswot")
