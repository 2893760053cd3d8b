"""What the steps of a training are given."""

import numpy as np
import pytest
from attrs import evolve

from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.space.genotype import Genotype
from bnao.space.spaces import SPACES
from bnao.streams import stream
from bnao.testing import small_dataset
from bnao.training.steps import stand_alone_steps, supernet_steps

STACK = NetworkConfig(channels=4, cells=1)
STEPS = 6
(GENOTYPE,) = SPACES["nao"].random_genotypes(1, stream(0, "steps test"))


def round_steps(round_index, rounds=4, start=0):
    config = evolve(SearchConfig(), rounds=rounds, network=STACK)
    dataset = small_dataset()
    pool = SPACES["nao"].random_genotypes(2, stream(0, "steps test"))
    drawn = np.arange(STEPS) % 2
    return list(supernet_steps(config, dataset, dataset.network(STACK), pool, drawn, round_index, start))


def last_keep(step):
    """The chance to keep an edge in the last cell: kept ones are divided by it."""
    return 1 / float(step.masks[-1].max())


@pytest.mark.parametrize("round_index", [0, 3])
def test_drop_path_progresses_within_a_round_and_restarts_with_the_next(round_index):
    # the paper's 0.9 is reached at the end of every round: 1 - (t + 1) / T x 0.1
    expected = [1 - (step + 1) / STEPS * 0.1 for step in range(STEPS)]

    assert [last_keep(step) for step in round_steps(round_index)] == pytest.approx(expected)


def test_what_is_dropped_and_shown_is_drawn_anew_in_each_round():
    first, second = round_steps(0), round_steps(1)

    assert all((one.masks != other.masks).any() for one, other in zip(first, second, strict=True))
    assert all((one.images != other.images).any() for one, other in zip(first, second, strict=True))
    assert [step.rate for step in first] == [step.rate for step in second]  # the cosine restarts too


def test_a_round_that_goes_on_has_the_steps_of_one_that_was_not_stopped():
    whole, rest = round_steps(2), round_steps(2, start=4)

    assert [step.step for step in rest] == [4, 5]
    for one, other in zip(whole[4:], rest, strict=True):
        assert (one.masks == other.masks).all() and (one.images == other.images).all()


def test_drop_path_of_a_stand_alone_training_progresses_over_the_epochs_that_are_set():
    dataset = small_dataset()

    def keeps(drop_path_epochs):
        config = evolve(EvaluateConfig(), epochs=3, network=STACK)
        config = evolve(config, training=evolve(config.training, drop_path_epochs=drop_path_epochs))
        network = dataset.network(STACK)
        return [
            last_keep(step)
            for step in stand_alone_steps(GENOTYPE, config, dataset, network, features=8, seed=0, start=0)
        ]

    # 160 images, so one step of 128 an epoch
    assert keeps(None) == pytest.approx([1 - 0.2 / 3, 1 - 0.4 / 3, 0.8])
    assert keeps(30) == pytest.approx([1 - 0.2 / 30, 1 - 0.4 / 30, 1 - 0.6 / 30])
    assert keeps(2) == pytest.approx([0.9, 0.8, 0.8])  # full from then on


@pytest.mark.parametrize("space", ["nao", "darts"])
def test_drop_path_leaves_a_stand_alone_networks_identities_alone(space):
    # DARTS' identity of stride 2 is an operation (ReLU and reduce), which is dropped like any other
    dataset, network = small_dataset(), NetworkConfig(space=space, channels=4, cells=1)
    nodes = ["0:skip_connect+1:sep_conv_3x3", "0:skip_connect+2:skip_connect"]
    nodes += ["0:sep_conv_3x3+1:sep_conv_3x3"] * (SPACES[space].nodes - 2)
    genotype = SPACES[space].check(Genotype.parse("|".join([";".join(nodes)] * 2), output="loose ends"))
    training = evolve(EvaluateConfig().training, drop_path_keep=0.5)
    config = evolve(EvaluateConfig(), epochs=4, network=network, training=training)

    steps = stand_alone_steps(genotype, config, dataset, dataset.network(network), features=8, seed=0, start=0)
    masks = np.concatenate([step.masks for step in steps], -1)

    identities = [(0, 0), (1, 0), (1, 1)]
    for cell in range(len(masks)):
        dropped = {edge for edge in np.ndindex(masks.shape[1:3]) if (masks[cell][edge] != 1).any()}
        strided = cell in (1, 3)
        never = {(1, 1)} if space == "darts" and strided else set(identities)
        assert dropped == set(np.ndindex(masks.shape[1:3])) - never
