"""What the NAO controller is in every framework: parameters, lessons, and whom it proposes."""

import math

import numpy as np
import pytest

from bnao.config.settings import ControllerConfig
from bnao.errors import DivergedError
from bnao.space.spaces import SPACES, space_named
from bnao.strategies.nao import TrainingData, accepted, initial_parameters, parameter_shapes, scaled
from bnao.streams import stream

SPACE = SPACES["nao"]


def test_scores_are_scaled_to_0_and_1_and_equal_ones_to_one_half():
    assert scaled(np.array([0.2, 0.6, 0.4])).tolist() == pytest.approx([0, 1, 0.5])
    assert scaled(np.array([0.7, 0.7])).tolist() == [0.5, 0.5]


def test_a_hidden_layer_of_the_predictor_adds_its_weights():
    def count(config):
        return sum(math.prod(shape) for shape in parameter_shapes(SPACE, config).values())

    # 64 x 200 + 200 in, and 200 in place of 64 to the score
    assert count(ControllerConfig()) == 80_845
    assert count(ControllerConfig(mlp_layers=1, mlp_hidden=200)) == 80_845 + (64 * 200 + 200) + (200 - 64)


def test_first_values_are_those_of_seed_round_and_name():
    shapes = parameter_shapes(SPACE, ControllerConfig())

    def values(seed, round):
        return initial_parameters(shapes, 64, seed, round)

    assert all((values(0, 1)[name] == values(0, 1)[name]).all() for name in shapes)
    for name in shapes:
        assert (values(0, 1)[name] != values(0, 2)[name]).any()
        assert (values(0, 1)[name] != values(1, 1)[name]).any()
        if ".lstm." in name:
            assert abs(values(0, 1)[name]).max() <= 1 / 8


def test_lessons_are_copies_of_the_same_architectures_each_with_its_score():
    genotypes = SPACE.random_genotypes(7, stream(0, "lessons"))
    lessons = TrainingData.of(SPACE, ControllerConfig(swaps=3), 0, 0, genotypes, np.linspace(0.2, 0.8, 7))

    assert SPACE.from_tokens(lessons.tokens) == genotypes * 3
    assert (lessons.tokens[:7] == SPACE.tokens(genotypes)).all()
    assert (lessons.tokens[7:14] != lessons.tokens[:7]).any()
    assert lessons.targets.tolist() == pytest.approx([*np.linspace(0, 1, 7)] * 3)


def test_each_epoch_has_an_order_of_its_own_and_a_loss_that_is_no_number_stops():
    genotypes = SPACE.random_genotypes(5, stream(0, "lessons"))
    config = ControllerConfig(swaps=1, epochs=3)
    lessons = TrainingData.of(SPACE, config, 0, 4, genotypes, np.arange(5.0))
    orders = []

    epochs = list(lessons.epochs(lambda order: orders.append(order.tolist()) or 0.5))

    assert [epoch.epoch for epoch in epochs] == [0, 1, 2]
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    with pytest.raises(DivergedError, match=r"loss is nan in epoch 0 of round 4 at learning rate 0\.001"):
        list(lessons.epochs(lambda order: math.nan))


def test_distinct_accepted_genotypes_are_taken_in_order_and_no_more_are_decoded_than_needed():
    a, b, c, d = space_named("nao", 2).random_genotypes(4, stream(0, "lessons"))
    asked = []

    def decoded():
        for genotypes in ([a, b, a], [c, d], [a]):
            asked.append(1)
            yield genotypes

    assert accepted(decoded(), 2, lambda genotype: genotype != b) == [a, c]
    assert len(asked) == 2


def test_a_tenth_is_held_out_by_seed_and_round_and_no_two_genotypes_are_too_few():
    genotypes = SPACE.random_genotypes(40, stream(0, "lessons"))
    scores = np.linspace(0.2, 0.8, 40)

    def lessons(n, seed=0, round=1, **settings):
        return TrainingData.of(SPACE, ControllerConfig(swaps=2, **settings), seed, round, genotypes[:n], scores[:n])

    of_40 = lessons(40)
    kept = [at for at in range(40) if at not in of_40.held_out]
    assert len(set(of_40.held_out.tolist())) == 4
    assert SPACE.from_tokens(of_40.tokens) == [genotypes[at] for at in kept] * 2
    assert of_40.targets.tolist() == pytest.approx([at / 39 for at in kept] * 2)  # on the scale of all forty
    assert (lessons(40, seed=1).held_out != of_40.held_out).any()
    assert (lessons(40, round=2).held_out != of_40.held_out).any()
    assert len(lessons(40, held_out=0.0).held_out) == len(lessons(14).held_out) == 0
    assert len(lessons(15).held_out) == 2
