"""Contract of a backend's NAO controller, as tests that its own tests inherit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from numpy.typing import NDArray

from bnao.config.settings import ControllerConfig
from bnao.errors import DivergedError, WeightsError
from bnao.metrics import kendall_tau
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace, space_named
from bnao.strategies.nao import initial_parameters, parameter_shapes
from bnao.streams import stream


class ControllerContract:
    """Tests that hold for the NAO controller of every backend; a subclass supplies the fixture ``make``.

    They need ``predict``, ``encode``, ``reconstruct``, ``state`` and ``load_state`` beside ``Controller``'s methods.
    """

    short = ControllerConfig(epochs=40, swaps=2, held_out=0.0)

    @pytest.fixture
    def make(self) -> Callable[[SearchSpace, ControllerConfig, int], Any]:
        """Make a controller of a space, settings and a seed."""
        raise NotImplementedError

    @pytest.fixture
    def pool(self) -> list[Genotype]:
        """Return random genotypes."""
        return space_named("nao", 5).random_genotypes(400, stream(0, "controller test"))

    @pytest.fixture
    def taught(self, make: Any, pool: list[Genotype]) -> tuple[Any, list[float]]:
        """Return a controller that has learned from the first 300, and its losses; made once for each class."""
        if "_taught" not in type(self).__dict__:
            controller = make(space_named("nao", 5), self.short, 0)
            losses = [epoch.loss for epoch in controller.fit(pool[:300], convolutions(pool[:300]), round_index=0)]
            type(self)._taught = controller, losses  # type: ignore[attr-defined]
        found: tuple[Any, list[float]] = type(self)._taught  # type: ignore[attr-defined]
        return found

    def test_it_has_80_845_parameters_without_an_mlp(self, make: Any) -> None:
        assert make(space_named("nao", 5), ControllerConfig(), 0).parameters == 80_845

    def test_parameters_begin_as_those_of_every_backend(self, make: Any) -> None:
        config, space = ControllerConfig(mlp_layers=1), space_named("nao", 3)

        state = make(space, config, 7).state()

        first = initial_parameters(parameter_shapes(space, config), config.hidden, 7, 0)
        assert set(state) == set(first)
        assert all((state[name] == first[name]).all() for name in first)

    def test_the_loss_falls_and_genotypes_it_never_saw_are_ranked(self, pool: list[Genotype], taught: Any) -> None:
        controller, losses = taught

        predicted = controller.predict(pool[300:])

        assert len(losses) == self.short.epochs
        assert losses[-1] < losses[0] / 2
        assert ((predicted > 0) & (predicted < 1)).all()
        assert kendall_tau(predicted, convolutions(pool[300:])) > 0.5

    def test_a_tenth_of_what_is_scored_is_not_learned_from_but_measured_on(
        self, make: Any, pool: list[Genotype], taught: Any
    ) -> None:
        few, space = evolve(self.short, epochs=3), space_named("nao", 5)
        some, scores = pool[:60], convolutions(pool[:60])
        controller = make(space, evolve(few, held_out=0.1), 0)

        list(controller.fit(some, scores, round_index=1))

        found = controller.held_out()
        assert (found.learned_from, found.n) == (54, 6)
        assert found.kendall_tau == pytest.approx(2 * found.pairwise_accuracy - 1, abs=0.3)  # equal without ties
        assert 0 < found.reconstruction_distance < 1  # three epochs teach no decoder
        others = [at for at in range(60) if some[at] not in controller._unseen[0]]
        alone = make(space, few, 0)
        list(alone.fit([some[at] for at in others], scores[others], round_index=1))
        assert alone.held_out() is None
        assert alone.predict(pool[:5]).tolist() == controller.predict(pool[:5]).tolist()
        assert taught[0].held_out() is None

    def test_structural_features_are_read_too(self, make: Any, pool: list[Genotype]) -> None:
        space, few = space_named("nao", 5), evolve(self.short, epochs=6, targets="ranks", learning_rate=5e-3)
        plain, reading = make(space, few, 0), make(space, evolve(few, features="structure"), 0)
        for controller in (plain, reading):
            list(controller.fit(pool[:100], convolutions(pool[:100]), round_index=0))

        taus = [kendall_tau(one.predict(pool[300:]), convolutions(pool[300:])) for one in (plain, reading)]

        assert min(taus) > 0.5
        assert taus[0] != taus[1]
        other = make(space, evolve(few, features="structure"), 5)
        other.load_state(reading.state())
        assert (other.predict(pool[:20]) == reading.predict(pool[:20])).all()
        proposed = reading.propose(pool[:10], 5, lambda genotype: True, round_index=1)
        assert proposed == other.propose(pool[:10], 5, lambda genotype: True, round_index=1)

    def test_stopping_early_goes_back_to_the_parameters_of_the_best_epoch(
        self, make: Any, pool: list[Genotype]
    ) -> None:
        space, settings = space_named("nao", 5), evolve(self.short, epochs=30, held_out=0.2, learning_rate=0.03)
        stopping = make(space, evolve(settings, patience=2), 0)
        epochs = len(list(stopping.fit(pool[:60], convolutions(pool[:60]), round_index=0)))

        until_best = make(space, evolve(settings, epochs=epochs - 2 if epochs < 30 else 30), 0)
        list(until_best.fit(pool[:60], convolutions(pool[:60]), round_index=0))

        if epochs < 30:
            assert (stopping.predict(pool[:20]) == until_best.predict(pool[:20])).all()
        assert 2 < epochs <= 30

    def test_representations_have_unit_length(self, pool: list[Genotype], taught: Any) -> None:
        assert np.linalg.norm(taught[0].encode(pool[:50]), axis=1) == pytest.approx(1, abs=1e-5)

    def test_proposals_are_new_distinct_and_much_better_than_the_pool(self, pool: list[Genotype], taught: Any) -> None:
        controller, _ = taught
        known, scores = set(pool[:300]), convolutions(pool[:300])
        seeds = [pool[index] for index in np.argsort(-scores)[:50]]

        proposed = controller.propose(seeds, 30, lambda genotype: genotype not in known, round_index=1)

        assert len(proposed) == len(set(proposed)) > 10
        assert known.isdisjoint(proposed)
        assert convolutions(proposed).mean() > scores.mean() + scores.std()

    def test_of_no_genotypes_it_says_and_learns_nothing(self, make: Any) -> None:
        controller = make(space_named("nao", 5), self.short, 0)

        assert controller.predict([]).shape == (0,)
        assert controller.encode([]).shape == (0, self.short.hidden)
        assert controller.reconstruct([]) == []
        assert list(controller.fit([], np.empty(0), round_index=0)) == []

    def test_only_what_is_accepted_is_proposed(self, pool: list[Genotype], taught: Any) -> None:
        assert taught[0].propose(pool[:10], 5, lambda genotype: False, round_index=1) == []
        assert taught[0].propose([], 5, lambda genotype: True, round_index=1) == []

    @pytest.mark.parametrize("nodes", [1, 3])
    def test_an_untaught_decoder_gives_genotypes_of_its_space_whatever_its_size(self, make: Any, nodes: int) -> None:
        space = space_named("nao", nodes)
        controller = make(space, self.short, 0)
        genotypes = space.random_genotypes(60, stream(0, "small"))

        for genotype in controller.reconstruct(genotypes):
            space.check(genotype)  # a token where it must not stand would make no genotype at all

    def test_a_decoder_that_was_taught_for_long_says_again_what_was_encoded(self, make: Any) -> None:
        space = space_named("nao", 2)
        genotypes = space.random_genotypes(40, stream(0, "few"))
        config = evolve(self.short, epochs=400, swaps=1, predictor_weight=0.1, batch_size=40, learning_rate=5e-3)
        controller = make(space, config, 0)

        list(controller.fit(genotypes, np.linspace(0, 1, 40), round_index=0))

        said = controller.reconstruct(genotypes)
        assert sum(one == other for one, other in zip(said, genotypes, strict=True)) >= 36

    def test_the_same_seed_and_round_give_the_same_bits_and_others_others(
        self, make: Any, pool: list[Genotype]
    ) -> None:
        short, space = evolve(self.short, epochs=2), space_named("nao", 5)

        def state(seed: int, round_index: int) -> Any:
            controller = make(space, short, seed)
            list(controller.fit(pool[:100], convolutions(pool[:100]), round_index=round_index))
            return np.concatenate([value.ravel() for value in controller.state().values()])

        assert (state(0, 1) == state(0, 1)).all()
        assert (state(0, 1) != state(0, 2)).any()
        assert (state(0, 1) != state(1, 1)).any()

    def test_a_state_that_is_loaded_predicts_as_before(self, make: Any, pool: list[Genotype], taught: Any) -> None:
        other = make(space_named("nao", 5), self.short, 5)

        other.load_state(taught[0].state())

        assert (other.predict(pool[:20]) == taught[0].predict(pool[:20])).all()
        with pytest.raises(WeightsError, match="of shape"):
            make(space_named("nao", 3), self.short, 0).load_state(taught[0].state())

    def test_scores_that_are_no_numbers_are_refused_with_their_place(self, make: Any, pool: list[Genotype]) -> None:
        controller = make(space_named("nao", 5), self.short, 0)

        with pytest.raises(DivergedError, match=r"scores\[0\] is nan"):
            list(controller.fit(pool[:10], np.full(10, np.nan), round_index=0))


def convolutions(genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
    """Return a learnable score: the fraction of separable convolutions, those of the normal cell counted twice."""
    cells = (space_named("nao", 5).encode(genotypes)[..., 1] < 2).mean((2, 3))
    weighted: NDArray[np.float64] = cells @ np.array([2 / 3, 1 / 3])
    return weighted
