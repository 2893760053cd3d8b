"""What the NAO controller is in every framework: parameters, lessons, and whom it proposes."""

import math

import numpy as np
import pytest
from attrs import evolve

from bnao.config.settings import ControllerConfig
from bnao.errors import DivergedError
from bnao.space.spaces import SPACES, space_named
from bnao.strategies.features import features_length
from bnao.strategies.nao import Nao, TrainingData, accepted, initial_parameters, paper_form, parameter_shapes
from bnao.strategies.seminas import SemiNasController
from bnao.strategies.targets import scaled
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

    def values(seed, round_index):
        return initial_parameters(shapes, 64, seed, round_index)

    assert all((values(0, 1)[name] == values(0, 1)[name]).all() for name in shapes)
    for name in shapes:
        assert (values(0, 1)[name] != values(0, 2)[name]).any()
        assert (values(0, 1)[name] != values(1, 1)[name]).any()
        if ".lstm." in name:
            assert abs(values(0, 1)[name]).max() <= 1 / 8


def test_lessons_are_copies_of_the_same_architectures_each_with_its_score():
    genotypes = SPACE.random_genotypes(7, stream(0, "lessons"))
    lessons = TrainingData.of(SPACE, ControllerConfig(swaps=3), 0, 0, genotypes, np.linspace(0, 1, 7))

    assert SPACE.from_tokens(lessons.tokens) == genotypes * 3
    assert (lessons.tokens[:7] == SPACE.tokens(genotypes)).all()
    assert (lessons.tokens[7:14] != lessons.tokens[:7]).any()
    assert lessons.targets.tolist() == pytest.approx([*np.linspace(0, 1, 7)] * 3)


def test_each_epoch_has_an_order_of_its_own_and_a_loss_that_is_no_number_stops():
    genotypes = SPACE.random_genotypes(5, stream(0, "lessons"))
    config = ControllerConfig(swaps=1, epochs=3)
    lessons = TrainingData.of(SPACE, config, 0, 4, genotypes, np.arange(5.0))
    orders = []

    epochs = list(lessons.epochs(lambda order: orders.append(order.tolist()) or 0.5, range(3)))

    assert [epoch.epoch for epoch in epochs] == [0, 1, 2]
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    with pytest.raises(DivergedError, match=r"loss is nan in epoch 0 of round 4 at learning rate 0\.001"):
        list(lessons.epochs(lambda order: math.nan, range(3)))


def test_distinct_accepted_genotypes_are_taken_in_order_and_no_more_are_decoded_than_needed():
    a, b, c, d = space_named("nao", 2).random_genotypes(4, stream(0, "lessons"))
    asked = []

    def decoded():
        for genotypes in ([a, b, a], [c, d], [a]):
            asked.append(1)
            yield genotypes

    assert accepted(decoded(), 2, lambda genotype: genotype != b) == [a, c]
    assert len(asked) == 2


class Pretending(Nao):
    """A controller without arithmetic: its one number that counts is raised by 1 in each epoch."""

    def __init__(self, config, best_epoch=0):
        super().__init__(SPACE, config, 0)
        self.best_epoch, self.trained = best_epoch, []
        self._initialise(round_index=0)

    def _set_parameters(self, row):
        self.row = row.copy()

    def _row(self):
        return self.row

    def _training_step(self, data):
        self.row[0] = 0
        self.data = data

        def train_epoch(order):
            self.row[0] += 1
            self.trained.append(int(self.row[0]))
            return 1.0

        return train_epoch

    def _scores(self, tokens, features):
        # the targets' mean at the best epoch, and worse before and after it
        return np.full(len(tokens), 0.5 + abs(self.row[0] - self.best_epoch), np.float32)

    def _proposals(self, blocks):
        yield blocks[0][0]

    def _representations(self, tokens):
        raise NotImplementedError

    def _reconstructions(self, tokens):
        return tokens


GENOTYPES = SPACE.random_genotypes(100, stream(0, "lessons"))


def test_a_tenth_is_held_out_by_seed_and_round_and_no_two_genotypes_are_too_few():
    scores = np.linspace(0.2, 0.8, 40)

    def held_out(n, seed=0, round_index=1, **settings):
        controller = Pretending(ControllerConfig(swaps=2, epochs=1, **settings))
        controller._seed = seed
        list(controller.fit(GENOTYPES[:n], scores[:n], round_index=round_index))
        return controller, controller._unseen[0]

    controller, of_40 = held_out(40)
    kept = [at for at in range(40) if GENOTYPES[at] not in of_40]
    assert len(set(of_40)) == 4
    assert SPACE.from_tokens(controller.data.tokens) == [GENOTYPES[at] for at in kept] * 2
    assert controller.data.targets.tolist() == pytest.approx([at / 39 for at in kept] * 2)  # on the scale of all forty
    assert held_out(40, seed=1)[1] != of_40
    assert held_out(40, round_index=2)[1] != of_40
    assert len(held_out(40, held_out=0.0)[1]) == len(held_out(14)[1]) == 0
    assert len(held_out(15)[1]) == 2


def test_ranks_are_targets_whatever_the_scores_are():
    controller = Pretending(ControllerConfig(targets="ranks", swaps=1, epochs=1, held_out=0.0))

    list(controller.fit(GENOTYPES[:4], np.array([0.1, 0.9, 0.91, 0.91]), round_index=0))

    assert controller.data.targets.tolist() == [0.125, 0.375, 0.75, 0.75]


def test_training_ends_when_the_held_out_part_is_predicted_worse_for_long_and_goes_back_to_the_best_epoch():
    controller = Pretending(ControllerConfig(epochs=50, patience=5), best_epoch=7)

    epochs = list(controller.fit(GENOTYPES, np.arange(100.0), round_index=0))

    assert len(epochs) == 7 + 5
    assert controller.row[0] == 7


@pytest.mark.parametrize("settings", [{"patience": 0}, {"patience": 5, "held_out": 0.05}])
def test_without_patience_or_with_fewer_than_ten_held_out_every_epoch_is_trained(settings):
    controller = Pretending(ControllerConfig(epochs=20, **settings), best_epoch=2)

    assert len(list(controller.fit(GENOTYPES, np.arange(100.0), round_index=0))) == 20
    assert controller.row[0] == 20


def test_features_widen_the_predictor_and_nao_paper_has_none():
    def count(config):
        return Pretending(config).parameters

    config = ControllerConfig(features="structure", targets="ranks", selection="neighbours", patience=3)
    assert count(config) == 80_845 + features_length(SPACE)
    assert count(evolve(config, controller="nao-paper")) == 80_845
    assert paper_form(config) == ControllerConfig()


def test_with_selection_predicted_the_best_of_what_is_decoded_come_first():
    class Preferring(Pretending):
        def _scores(self, tokens, features):
            return tokens.sum(1).astype(np.float32)

    controller = Preferring(ControllerConfig(selection="predicted"))

    proposed = controller.propose(GENOTYPES[:30], 5, lambda genotype: True, round_index=0)

    best = np.sort(SPACE.tokens(GENOTYPES[:30]).sum(1))[::-1][:5]
    assert SPACE.tokens(proposed).sum(1).tolist() == best.tolist()


def test_seminas_learns_from_unscored_genotypes_too_by_its_own_predictions_and_in_as_many_steps():
    config = ControllerConfig(controller="seminas", epochs=40, swaps=1, unlabelled=300, held_out=0.0)
    nao = Pretending(config)
    controller = SemiNasController(nao, SPACE, config, 0)

    epochs = list(controller.fit(GENOTYPES, np.arange(100.0), round_index=0))

    # 300 scored, three copies of each, and 300 unscored: six times as many, so a sixth of the epochs
    assert [epoch.epoch for epoch in epochs] == list(range(20 + 4))
    assert len(nao.data.targets) == 600
    assert set(nao.data.targets[300:].tolist()) == {0.5 + 20}  # what was predicted after the first twenty epochs
    assert controller.propose(GENOTYPES[:3], 2, lambda genotype: True, round_index=1)
    assert len(controller.predict(GENOTYPES[:3])) == 3
    assert controller.held_out() is None
