"""The NAO controller in PyTorch: it learns to tell good genotypes from bad ones and proposes better ones."""

import numpy as np
import pytest
from attrs import evolve

from bnao.config import ControllerConfig
from bnao.errors import DivergedError, WeightsError
from bnao.ranking import kendall_tau
from bnao.space import SPACES, space_named
from bnao.streams import stream

torch = pytest.importorskip("torch")

from bnao.backends.torch.controller import NaoController, scaled  # noqa: E402

SPACE = SPACES["nao"]
SHORT = ControllerConfig(epochs=40, swaps=2)


def convolutions(genotypes):
    """A score that a controller can learn: the share of separable convolutions, those of the normal cell twice."""
    cells = (SPACE.encode(genotypes)[..., 1] < 2).mean((2, 3))
    return cells @ [2 / 3, 1 / 3]


@pytest.fixture(scope="module")
def pool():
    return SPACE.random_genotypes(400, stream(0, "controller test"))


@pytest.fixture(scope="module")
def taught(pool):
    controller = NaoController(SPACE, SHORT, seed=0)
    losses = [epoch.loss for epoch in controller.fit(pool[:300], convolutions(pool[:300]), round=0)]
    return controller, losses


def anything(genotype):
    return True


def test_it_has_80_845_parameters_without_an_mlp():
    assert NaoController(SPACE, ControllerConfig(), 0).parameters == 80_845


def test_a_hidden_layer_of_the_predictor_adds_its_weights():
    # 64 x 200 + 200 in, and 200 in place of 64 to the score
    with_layer = NaoController(SPACE, ControllerConfig(mlp_layers=1, mlp_hidden=200), 0)

    assert with_layer.parameters == 80_845 + (64 * 200 + 200) + (200 - 64)


def test_scores_are_scaled_to_0_and_1_and_equal_ones_to_one_half():
    assert scaled(np.array([0.2, 0.6, 0.4])).tolist() == pytest.approx([0, 1, 0.5])
    assert scaled(np.array([0.7, 0.7])).tolist() == [0.5, 0.5]


def test_the_loss_falls_and_genotypes_it_never_saw_are_ranked(pool, taught):
    controller, losses = taught

    predicted = controller.predict(pool[300:])

    assert len(losses) == SHORT.epochs
    assert losses[-1] < losses[0] / 2
    assert ((predicted > 0) & (predicted < 1)).all()
    assert kendall_tau(predicted, convolutions(pool[300:])) > 0.5


def test_representations_have_unit_length(pool, taught):
    assert np.linalg.norm(taught[0].encode(pool[:50]), axis=1) == pytest.approx(1, abs=1e-5)


def test_proposals_are_new_distinct_and_much_better_than_the_pool(pool, taught):
    controller, _ = taught
    known, scores = set(pool[:300]), convolutions(pool[:300])
    seeds = [pool[index] for index in np.argsort(-scores)[:50]]

    proposed = controller.propose(seeds, 30, lambda genotype: genotype not in known, round=1)

    assert len(proposed) == len(set(proposed)) > 10
    assert known.isdisjoint(proposed)
    assert convolutions(proposed).mean() > scores.mean() + scores.std()


def test_only_what_is_accepted_is_proposed(pool, taught):
    assert taught[0].propose(pool[:10], 5, lambda genotype: False, round=1) == []
    assert taught[0].propose([], 5, anything, round=1) == []


@pytest.mark.parametrize("nodes", [1, 3])
def test_an_untaught_decoder_gives_genotypes_of_its_space_whatever_its_size(nodes):
    space = space_named("nao", nodes)
    controller = NaoController(space, SHORT, seed=0)
    genotypes = space.random_genotypes(60, stream(0, "small"))

    for genotype in controller.reconstruct(genotypes):
        space.check(genotype)  # a token where it must not stand would make no genotype at all


def test_a_decoder_that_was_taught_for_long_says_again_what_was_encoded():
    space = space_named("nao", 2)
    genotypes = space.random_genotypes(40, stream(0, "few"))
    config = evolve(SHORT, epochs=400, swaps=1, predictor_weight=0.1, batch_size=40, learning_rate=5e-3)
    controller = NaoController(space, config, seed=0)

    list(controller.fit(genotypes, np.linspace(0, 1, 40), round=0))

    said = controller.reconstruct(genotypes)
    assert sum(one == other for one, other in zip(said, genotypes, strict=True)) >= 36


def test_the_same_seed_and_round_give_the_same_bits_and_others_others(pool):
    short = evolve(SHORT, epochs=2)

    def state(seed, round):
        controller = NaoController(SPACE, short, seed)
        list(controller.fit(pool[:100], convolutions(pool[:100]), round=round))
        return np.concatenate([value.ravel() for value in controller.state().values()])

    assert (state(0, 1) == state(0, 1)).all()
    assert (state(0, 1) != state(0, 2)).any()
    assert (state(0, 1) != state(1, 1)).any()


def test_a_state_that_is_loaded_predicts_as_before(pool, taught):
    other = NaoController(SPACE, SHORT, seed=5)

    other.load_state(taught[0].state())

    assert (other.predict(pool[:20]) == taught[0].predict(pool[:20])).all()
    with pytest.raises(WeightsError, match="of shape"):
        NaoController(space_named("nao", 3), SHORT, 0).load_state(taught[0].state())


def test_scores_that_are_no_numbers_are_refused_with_their_place(pool):
    controller = NaoController(SPACE, SHORT, seed=0)

    with pytest.raises(DivergedError, match=r"scores\[0\] is nan"):
        list(controller.fit(pool[:10], np.full(10, np.nan), round=0))
