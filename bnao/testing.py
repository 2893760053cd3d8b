"""What every backend must do, as tests that a backend's own tests inherit (needs pytest; imported by nothing).

::

    class TestMine(BackendContract):
        @pytest.fixture
        def backend(self):
            return bnao.load_backend("mine")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from numpy.typing import NDArray

from bnao.config import ControllerConfig, DataConfig, EvaluateConfig, NetworkConfig, SearchConfig, TrainingConfig
from bnao.data import Dataset
from bnao.errors import DivergedError, WeightsError
from bnao.genotype import Genotype
from bnao.nao import initial_parameters, parameter_shapes
from bnao.protocols import Backend, Exporting, State
from bnao.ranking import kendall_tau
from bnao.size import parameters, supernet_parameters
from bnao.space import SearchSpace, space_named
from bnao.streams import stream
from bnao.trained import about_training, trained_of
from bnao.weights import read_weights, stand_alone_shapes, supernet_shapes, to_bytes, without_momenta

_NODES = 3
_IMAGES = ("x_train", "x_dev", "x_test")


def learnable_images(n: int, part: str, size: int = 12, channels: int = 3, classes: int = 4) -> tuple[Any, Any]:
    """Noisy images whose class is where they are bright: uint8 (n, size, size, channels), and labels."""
    rng = stream(0, f"images {part}")
    labels = rng.permutation(np.arange(n) % classes)
    images = rng.integers(0, 120, (n, size, size, channels))
    half = size // 2
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label) % 4, 2)
        image[row * half : (row + 1) * half, column * half : (column + 1) * half] += 100
    return images.astype(np.uint8), labels.astype(np.int64)


def small_dataset() -> Dataset:
    """A data set of 12 x 12 images in four classes that a small network learns in seconds."""
    (x, y), (x_dev, y_dev), (x_test, y_test) = (
        learnable_images(n, part) for n, part in ((160, "train"), (64, "dev"), (64, "test"))
    )
    names = ("upper left", "upper right", "lower left", "lower right")
    return Dataset(
        name="corners", x_train=x, y_train=y, x_dev=x_dev, y_dev=y_dev, x_test=x_test, y_test=y_test, class_names=names
    )


class BackendContract:
    """Tests that hold for every backend; a subclass gives the fixture ``backend``."""

    @pytest.fixture
    def dataset(self) -> Dataset:
        """Images of four classes."""
        return small_dataset()

    @pytest.fixture
    def network(self) -> NetworkConfig:
        """The supernet's settings; its space is what is tested."""
        return NetworkConfig(channels=4, cells=1, nodes=_NODES)

    @pytest.fixture
    def config(self, network: NetworkConfig) -> SearchConfig:
        """A search small enough for a test."""
        return SearchConfig(
            rounds=2,
            network=network,
            data=DataConfig(pad=1, flip=False),  # mirrored, left is right
            training=TrainingConfig(batch_size=32, learning_rate=0.1),
        )

    @pytest.fixture
    def short(self, config: SearchConfig) -> EvaluateConfig:
        """A stand-alone training small enough for a test."""
        base = EvaluateConfig()
        training = evolve(base.training, batch_size=32, learning_rate=0.1, dropout_keep=0.9)
        return evolve(base, epochs=3, network=config.network, data=config.data, training=training)

    @pytest.fixture
    def genotypes(self, config: SearchConfig) -> list[Genotype]:
        """Random genotypes of the test's space."""
        space = space_named(config.network.space, config.network.nodes)
        return space.random_genotypes(6, stream(0, "contract"))

    # --- size

    @pytest.mark.parametrize("kind", ["cifar", "imagenet"])
    def test_the_core_counts_the_parameters_this_backend_trains(
        self, backend: Backend, dataset: Dataset, short: EvaluateConfig, genotypes: Sequence[Genotype], kind: str
    ) -> None:
        # ImageNet's stem needs larger images
        parts: dict[str, Any] = {
            part: np.kron(getattr(dataset, part), np.ones((1, 3, 3, 1), np.uint8)) for part in _IMAGES
        }
        large = evolve(dataset, **parts) if kind == "imagenet" else dataset
        config = evolve(short, network=evolve(short.network, network=kind, channels=6))
        for genotype in genotypes:
            network = backend.stand_alone(genotype, config, large, seed=0)

            assert network.parameters == parameters(genotype, large.network(config.network))

    def test_the_supernet_holds_every_operation_for_every_source(
        self, backend: Backend, dataset: Dataset, config: SearchConfig
    ) -> None:
        supernet = backend.supernet(config, dataset)

        held = sum(value.size for value in without_momenta(supernet.state()).values())

        assert held == supernet_parameters(supernet.network)

    def test_parameters_have_the_canonical_names_and_shapes(
        self, backend: Backend, dataset: Dataset, config: SearchConfig, short: EvaluateConfig, genotypes: list[Genotype]
    ) -> None:
        supernet = backend.supernet(config, dataset)
        network = backend.stand_alone(genotypes[0], short, dataset, seed=0)

        own = {name: value.shape for name, value in network.state().items()}

        assert {name: value.shape for name, value in supernet.state().items()} == supernet_shapes(supernet.network)
        trained = {name: shape for name, shape in own.items() if not name.endswith((".mean", ".variance"))}
        assert trained == stand_alone_shapes(genotypes[0], dataset.network(short.network), auxiliary=True)

    # --- training the supernet

    def test_only_the_drawn_paths_parameters_change_in_a_step(
        self, backend: Backend, dataset: Dataset, config: SearchConfig, genotypes: list[Genotype]
    ) -> None:
        supernet = backend.supernet(config, dataset)
        first, second = genotypes[:2]
        before = _copied(supernet.state())

        _train(supernet, [first], 1)
        after_first = _copied(supernet.state())
        _train(supernet, [second], 2, start=1)
        after_second = _copied(supernet.state())

        # a second genotype's step also shows that the first one's momentum does not move what is not drawn
        for state, earlier, genotype in ((after_first, before, first), (after_second, after_first, second)):
            path = _path(genotype, supernet.network)
            moved = {name for name in before if (state[name] != earlier[name]).any()}
            assert moved <= path
            kernels = {name for name in path if before[name].ndim == 4}
            assert kernels <= moved  # weight decay alone moves every kernel of the path

    def test_a_supernet_learns(
        self, backend: Backend, dataset: Dataset, config: SearchConfig, genotypes: list[Genotype]
    ) -> None:
        supernet = backend.supernet(config, dataset)

        losses = _train(supernet, genotypes[:2], 60)

        assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
        assert supernet.score(genotypes[:2]).mean() > 0.5  # chance is 0.25

    def test_the_same_seed_gives_the_same_bits_and_another_seed_others(
        self, backend: Backend, dataset: Dataset, config: SearchConfig, genotypes: list[Genotype]
    ) -> None:
        states = []
        for seed in (0, 0, 1):
            supernet = backend.supernet(evolve(config, seed=seed), dataset)
            _train(supernet, genotypes, 4)
            states.append(_copied(supernet.state()))

        assert _equal(states[0], states[1])
        assert not _equal(states[0], states[2])

    def test_training_that_was_stopped_goes_on_bit_for_bit(
        self, backend: Backend, dataset: Dataset, config: SearchConfig, genotypes: list[Genotype]
    ) -> None:
        whole = backend.supernet(config, dataset)
        _train(whole, genotypes, 6)
        stopped = backend.supernet(config, dataset)
        _train(stopped, genotypes, 6, stop=3)
        resumed = backend.supernet(config, dataset)

        resumed.load_state(_copied(stopped.state()))
        _train(resumed, genotypes, 6, start=3)

        assert _equal(whole.state(), resumed.state())

    def test_the_learning_rate_falls_in_a_cosine_and_starts_again_each_round(
        self, backend: Backend, dataset: Dataset, config: SearchConfig, genotypes: list[Genotype]
    ) -> None:
        supernet = backend.supernet(config, dataset)

        rates = [
            [step.rate for step in supernet.train(genotypes, np.zeros(4, np.int64), round=round)] for round in (0, 1)
        ]

        assert rates[0] == rates[1]
        assert rates[0][0] == config.training.learning_rate
        assert rates[0][2] == pytest.approx((config.training.learning_rate + config.training.learning_rate_end) / 2)

    # --- scoring

    def test_scores_do_not_depend_on_order_or_company(
        self, backend: Backend, dataset: Dataset, config: SearchConfig, genotypes: list[Genotype]
    ) -> None:
        supernet = backend.supernet(config, dataset)
        _train(supernet, genotypes, 8)

        together = supernet.score(genotypes)

        assert together.tolist() == supernet.score(genotypes[::-1]).tolist()[::-1]
        assert together.tolist() == [supernet.score([genotype])[0] for genotype in genotypes]
        assert ((together >= 0) & (together <= 1)).all()
        assert (together * len(dataset.y_dev) % 1 == 0).all()  # shares of the dev images

    def test_scoring_leaves_the_weights_as_they_were(
        self, backend: Backend, dataset: Dataset, config: SearchConfig, genotypes: list[Genotype]
    ) -> None:
        supernet = backend.supernet(config, dataset)
        _train(supernet, genotypes, 2)
        before = _copied(supernet.state())

        supernet.score(genotypes)

        assert _equal(before, supernet.state())

    # --- weights

    def test_saved_weights_give_the_same_scores_when_loaded(
        self, backend: Backend, dataset: Dataset, config: SearchConfig, genotypes: list[Genotype], tmp_path: Any
    ) -> None:
        supernet = backend.supernet(config, dataset)
        _train(supernet, genotypes, 8)
        (tmp_path / "weights.safetensors").write_bytes(to_bytes(supernet.state()))
        other = backend.supernet(evolve(config, seed=7), dataset)

        other.load_state(read_weights(tmp_path / "weights.safetensors")[0])

        assert other.score(genotypes).tolist() == supernet.score(genotypes).tolist()

    def test_weights_of_another_width_are_refused(
        self, backend: Backend, dataset: Dataset, config: SearchConfig
    ) -> None:
        wider = backend.supernet(evolve(config, network=evolve(config.network, channels=6)), dataset)

        with pytest.raises(WeightsError, match="shape"):
            backend.supernet(config, dataset).load_state(wider.state())

    # --- stand-alone networks

    def test_a_stand_alone_network_learns(
        self, backend: Backend, dataset: Dataset, short: EvaluateConfig, genotypes: list[Genotype]
    ) -> None:
        network = backend.stand_alone(genotypes[0], evolve(short, epochs=12), dataset, seed=0)

        losses = [epoch.loss for epoch in network.train()]

        assert losses[-1] < losses[0]
        assert (network.logits(dataset.x_test).argmax(1) == dataset.y_test).mean() > 0.5  # chance is 0.25

    def test_stand_alone_weights_loaded_give_the_same_logits(
        self, backend: Backend, dataset: Dataset, short: EvaluateConfig, genotypes: list[Genotype]
    ) -> None:
        network = backend.stand_alone(genotypes[0], evolve(short, epochs=1), dataset, seed=0)
        for _ in network.train():
            pass
        other = backend.stand_alone(genotypes[0], short, dataset, seed=7)

        other.load_state(_copied(network.state()))

        assert (other.logits(dataset.x_test) == network.logits(dataset.x_test)).all()

    def test_a_trained_network_by_itself_gives_the_same_logits(
        self, backend: Backend, dataset: Dataset, short: EvaluateConfig, genotypes: list[Genotype]
    ) -> None:
        if not isinstance(backend, Exporting):
            pytest.skip(f"backend {backend.name!r} exports nothing")
        network = backend.stand_alone(genotypes[0], evolve(short, epochs=1), dataset, seed=0)
        for _ in network.train():
            pass
        about = about_training(genotypes[0], dataset.network(short.network), dataset, 0, 0.5)
        trained = trained_of(without_momenta(network.state()), about, "the trained network")

        logits = backend.logits(trained)(np.divide(dataset.x_test, 255, dtype=np.float32))

        expected = network.logits(dataset.x_test)
        assert abs(logits - expected).max() < 1e-4 * max(1.0, abs(expected).max())

    def test_stand_alone_training_that_was_stopped_goes_on_bit_for_bit(
        self, backend: Backend, dataset: Dataset, short: EvaluateConfig, genotypes: list[Genotype]
    ) -> None:
        whole = backend.stand_alone(genotypes[0], short, dataset, seed=0)
        for _ in whole.train():
            pass
        stopped = backend.stand_alone(genotypes[0], short, dataset, seed=0)
        next(stopped.train())
        resumed = backend.stand_alone(genotypes[0], short, dataset, seed=0)

        resumed.load_state(_copied(stopped.state()))
        for _ in resumed.train(start=1):
            pass

        assert _equal(whole.state(), resumed.state())


class ControllerContract:
    """Tests that hold for the NAO controller of every backend; a subclass gives the fixture ``make``.

    They need ``predict``, ``encode``, ``reconstruct``, ``state`` and ``load_state`` beside ``Controller``'s methods.
    """

    short = ControllerConfig(epochs=40, swaps=2)

    @pytest.fixture
    def make(self) -> Callable[[SearchSpace, ControllerConfig, int], Any]:
        """Makes a controller of a space, settings and a seed."""
        raise NotImplementedError

    @pytest.fixture
    def pool(self) -> list[Genotype]:
        """Random genotypes."""
        return space_named("nao", 5).random_genotypes(400, stream(0, "controller test"))

    @pytest.fixture
    def taught(self, make: Any, pool: list[Genotype]) -> tuple[Any, list[float]]:
        """A controller that has learned from the first 300, and its losses; made once for each class."""
        if "_taught" not in type(self).__dict__:
            controller = make(space_named("nao", 5), self.short, 0)
            losses = [epoch.loss for epoch in controller.fit(pool[:300], convolutions(pool[:300]), round=0)]
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

    def test_representations_have_unit_length(self, pool: list[Genotype], taught: Any) -> None:
        assert np.linalg.norm(taught[0].encode(pool[:50]), axis=1) == pytest.approx(1, abs=1e-5)

    def test_proposals_are_new_distinct_and_much_better_than_the_pool(self, pool: list[Genotype], taught: Any) -> None:
        controller, _ = taught
        known, scores = set(pool[:300]), convolutions(pool[:300])
        seeds = [pool[index] for index in np.argsort(-scores)[:50]]

        proposed = controller.propose(seeds, 30, lambda genotype: genotype not in known, round=1)

        assert len(proposed) == len(set(proposed)) > 10
        assert known.isdisjoint(proposed)
        assert convolutions(proposed).mean() > scores.mean() + scores.std()

    def test_of_no_genotypes_it_says_and_learns_nothing(self, make: Any) -> None:
        controller = make(space_named("nao", 5), self.short, 0)

        assert controller.predict([]).shape == (0,)
        assert controller.encode([]).shape == (0, self.short.hidden)
        assert controller.reconstruct([]) == []
        assert list(controller.fit([], np.empty(0), round=0)) == []

    def test_only_what_is_accepted_is_proposed(self, pool: list[Genotype], taught: Any) -> None:
        assert taught[0].propose(pool[:10], 5, lambda genotype: False, round=1) == []
        assert taught[0].propose([], 5, lambda genotype: True, round=1) == []

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

        list(controller.fit(genotypes, np.linspace(0, 1, 40), round=0))

        said = controller.reconstruct(genotypes)
        assert sum(one == other for one, other in zip(said, genotypes, strict=True)) >= 36

    def test_the_same_seed_and_round_give_the_same_bits_and_others_others(
        self, make: Any, pool: list[Genotype]
    ) -> None:
        short, space = evolve(self.short, epochs=2), space_named("nao", 5)

        def state(seed: int, round: int) -> Any:
            controller = make(space, short, seed)
            list(controller.fit(pool[:100], convolutions(pool[:100]), round=round))
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
            list(controller.fit(pool[:10], np.full(10, np.nan), round=0))


def convolutions(genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
    """A score that a controller can learn: the share of separable convolutions, those of the normal cell twice."""
    cells = (space_named("nao", 5).encode(genotypes)[..., 1] < 2).mean((2, 3))
    weighted: NDArray[np.float64] = cells @ np.array([2 / 3, 1 / 3])
    return weighted


def _train(supernet: Any, pool: Sequence[Genotype], steps: int, start: int = 0, stop: int | None = None) -> list[float]:
    drawn = np.arange(steps) % len(pool)
    losses = []
    for step in supernet.train(pool, drawn, round=0, start=start):
        losses.append(step.loss)
        if stop is not None and step.step + 1 == stop:
            break
    return losses


def _copied(state: State) -> dict[str, Any]:
    return {name: np.array(value) for name, value in state.items()}


def _equal(one: State, other: State) -> bool:
    return set(one) == set(other) and all((one[name] == other[name]).all() for name in one)


def _path(genotype: Genotype, network: NetworkConfig) -> set[str]:
    """The supernet's parameters that a genotype uses, from the names alone."""
    path = set()
    for name in supernet_shapes(network):
        parts = name.split(".")
        if parts[0] != "cells":
            path.add(name)
            continue
        reduction = int(parts[1]) in (network.cells, 2 * network.cells + 1)
        cell = genotype.cell(reduction)
        if parts[2] == "nodes":
            edge = cell.nodes[int(parts[3])].edges[int(parts[5])]
            used = edge.operation == parts[6]
            if parts[7] == "source":
                used = used and edge.source == int(parts[8])
            else:  # sources are fixed, and the last node alone is the output
                used = used and cell.inputs + int(parts[3]) in cell.live_states
        elif parts[2] == "loose" or parts[3] == "state":
            used = int(parts[3] if parts[2] == "loose" else parts[4]) in cell.loose_ends
        else:
            used = True
        if used:
            path.add(name)
    return path
