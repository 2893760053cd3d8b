"""Paths that an update trains beside the drawn one."""

from collections import Counter

import numpy as np
import pytest

from bnao.config.settings import NetworkConfig, TrainingConfig
from bnao.network.size import count_parameters
from bnao.space.spaces import SPACES
from bnao.streams import stream
from bnao.training.companions import Companions, fair_paths

BATCH = np.zeros((2, 8, 8, 3), np.float32), np.zeros(2, np.int64), None


def companions(rule, space="nao"):
    pool = SPACES[space].random_genotypes(6, stream(0, "companions test"))
    network = NetworkConfig(space=space, channels=4, cells=1)
    return Companions(TrainingConfig(companions=rule), network, pool, seed=0, steps=10), pool, network


def test_without_companions_an_update_is_one_pass_of_the_drawn_path():
    rule, pool, _ = companions("none")

    (one,) = rule.passes(pool[3], 5, *BATCH)

    assert (one.architecture, one.teacher, one.learn, one.weight) == (pool[3], None, True, 1.0)


@pytest.mark.parametrize("space", ["nao", "darts", "nas-bench-201"])
def test_fair_paths_use_every_operation_once_at_every_edge_and_read_the_same_sources(space):
    drawn = SPACES[space].random_genotypes(1, stream(1, "companions test"))[0]

    for step in range(5):
        paths = fair_paths(SPACES[space], drawn, seed=0, step=step)

        assert paths[0] == drawn
        for node in range(SPACES[space].nodes):
            edges = Counter((edge.source, edge.operation) for path in paths for edge in path.normal.nodes[node].edges)
            sources = Counter(edge.source for edge in drawn.normal.nodes[node].edges)
            assert edges == {
                (source, operation): times
                for source, times in sources.items()
                for operation in SPACES[space].operations
            }


def test_fair_paths_differ_from_step_to_step_and_are_a_function_of_seed_and_step():
    drawn = SPACES["nao"].random_genotypes(1, stream(1, "companions test"))[0]

    assert fair_paths(SPACES["nao"], drawn, 0, 1) == fair_paths(SPACES["nao"], drawn, 0, 1)
    assert fair_paths(SPACES["nao"], drawn, 0, 1) != fair_paths(SPACES["nao"], drawn, 0, 2)


def test_in_a_sandwich_the_largest_genotype_teaches_the_drawn_one():
    rule, pool, network = companions("sandwich")
    largest = max(pool, key=lambda genotype: count_parameters(genotype, network))
    other = next(genotype for genotype in pool if genotype != largest)

    passes = rule.passes(other, 0, *BATCH)

    assert [(one.architecture, one.teacher) for one in passes] == [(largest, None), (other, 0)]
    assert rule.place(passes, other) == 1


def test_the_largest_genotype_itself_learns_from_the_labels_alone():
    rule, pool, network = companions("sandwich")
    largest = max(pool, key=lambda genotype: count_parameters(genotype, network))

    (one,) = rule.passes(largest, 0, *BATCH)

    assert (one.architecture, one.teacher) == (largest, None)
