"""Contract of a backend's networks, as tests that its own tests inherit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from attrs import evolve

from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import SearchConfig
from bnao.config.training import Split
from bnao.data.dataset import Dataset
from bnao.errors import WeightsError
from bnao.evaluation.scoring import score_genotypes
from bnao.network.parameters import stand_alone_shapes, supernet_shapes
from bnao.network.size import supernet_parameters
from bnao.network.state import MOMENTUM, read_weights, to_bytes, without_momenta
from bnao.protocols import Backend
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.streams import stream
from bnao.testing.fixtures import ContractFixtures
from bnao.testing.paths import path_names
from bnao.testing.stand_alone import StandAloneContract
from bnao.testing.states import are_equal, copy_of
from bnao.testing.supernets import SupernetContract
from bnao.training.shared_weights import SharedWeights


class SharedWeightsContract(ContractFixtures, SupernetContract):
    """The part of ``BackendContract`` about supernets."""

    # --- size

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
        before = copy_of(supernet.state())

        _train(supernet, [first], 1)
        after_first = copy_of(supernet.state())
        _train(supernet, [second], 2, start=1)
        after_second = copy_of(supernet.state())

        # a second genotype's step also shows that the first one's momentum does not move what is not drawn
        for state, earlier, genotype in ((after_first, before, first), (after_second, after_first, second)):
            path = path_names(genotype, supernet.network)
            moved = {name for name in before if (state[name] != earlier[name]).any()}
            assert moved <= path
            kernels = {name for name in path if before[name].ndim == 4}
            assert kernels <= moved  # weight decay alone moves every kernel of the path

    def test_with_dense_momentum_what_is_not_drawn_goes_on_as_if_its_gradient_were_zero(
        self, backend: Backend, dataset: Dataset, config: SearchConfig, genotypes: list[Genotype]
    ) -> None:
        training = evolve(
            config.training, idle_momentum="dense", weight_decay=0.01, learning_rate=0.1, learning_rate_end=0.1
        )
        supernet = backend.supernet(evolve(config, training=training), dataset)
        first, second = genotypes[:2]
        begun = without_momenta(copy_of(supernet.state()))

        _train(supernet, [first], 1)
        before = copy_of(supernet.state())
        _train(supernet, [second], 2, start=1)
        after = supernet.state()

        idle = set(begun) - path_names(second, supernet.network)
        assert idle & path_names(first, supernet.network)
        for name in idle:
            momentum = 0.9 * before.get(MOMENTUM + name, np.zeros_like(before[name])) + 0.01 * before[name]
            assert np.allclose(after.get(MOMENTUM + name, 0), momentum, rtol=1e-5, atol=1e-7), name
            assert np.allclose(after[name], before[name] - 0.1 * momentum, rtol=1e-5, atol=1e-7), name
        for name in idle - path_names(first, supernet.network):
            assert np.allclose(before[name], begun[name] * (1 - 0.1 * 0.01), rtol=1e-5, atol=1e-7), name

    def test_dense_momentum_goes_on_bit_for_bit_from_a_saved_state(
        self, backend: Backend, dataset: Dataset, config: SearchConfig, genotypes: list[Genotype]
    ) -> None:
        config = evolve(config, training=evolve(config.training, idle_momentum="dense"))
        whole, stopped, resumed = (backend.supernet(config, dataset) for _ in range(3))
        _train(whole, genotypes, 4)
        _train(stopped, genotypes, 4, stop=2)

        resumed.load_state(copy_of(stopped.state()))
        _train(resumed, genotypes, 4, start=2)

        assert are_equal(whole.state(), resumed.state())

    def test_edges_in_sorted_order_train_other_weights_than_by_hash(
        self, backend: Backend, dataset: Dataset, config: SearchConfig
    ) -> None:
        network = evolve(config.network, slots="sorted", nodes=1)
        by_hash = evolve(network, slots="hashed")
        supernet = backend.supernet(evolve(config, network=network), dataset)
        space = space_named(network.space, 1)
        drawn = space.random_genotypes(3 if space.rules.residual else 6, stream(0, "contract"))
        differing = [each for each in drawn if path_names(each, network) != path_names(each, by_hash)]
        # in a residual skeleton, as of NAS-Bench-201, an edge has one set of weights
        assert differing or space.rules.residual
        genotype = (differing or drawn)[0]
        before = copy_of(supernet.state())

        _train(supernet, [genotype], 1)

        after = supernet.state()
        moved = {name for name in before if (after[name] != before[name]).any()}
        assert moved <= path_names(genotype, network)
        assert not differing or not moved <= path_names(genotype, by_hash)

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
            states.append(copy_of(supernet.state()))

        assert are_equal(states[0], states[1])
        assert not are_equal(states[0], states[2])

    def test_training_that_was_stopped_goes_on_bit_for_bit(
        self, backend: Backend, dataset: Dataset, config: SearchConfig, genotypes: list[Genotype]
    ) -> None:
        config = evolve(config, training=evolve(config.training, drop_path_keep=0.7))
        whole = backend.supernet(config, dataset)
        _train(whole, genotypes, 6)
        stopped = backend.supernet(config, dataset)
        _train(stopped, genotypes, 6, stop=3)
        resumed = backend.supernet(config, dataset)

        resumed.load_state(copy_of(stopped.state()))
        _train(resumed, genotypes, 6, start=3)

        assert are_equal(whole.state(), resumed.state())

    def test_weights_are_split_on_the_way_and_training_that_was_stopped_goes_on_bit_for_bit(
        self, backend: Backend, dataset: Dataset, config: SearchConfig, genotypes: list[Genotype]
    ) -> None:
        training = evolve(config.training, split_at=(Split(0.5, "edge"),))
        config = evolve(config, rounds=1, network=evolve(config.network, share_over="cell"), training=training)
        whole, stopped, resumed = (backend.supernet(config, dataset) for _ in range(3))
        assert without_momenta(whole.state()).keys() == supernet_shapes(whole.network).keys()
        _train(whole, genotypes, 4)
        assert without_momenta(whole.state()).keys() == supernet_shapes(evolve(whole.network, share_over="edge")).keys()
        _train(stopped, genotypes, 4, stop=3)

        resumed.load_state(copy_of(stopped.state()))
        _train(resumed, genotypes, 4, start=3)

        assert are_equal(whole.state(), resumed.state())

    def test_the_learning_rate_falls_in_a_cosine_and_starts_again_each_round(
        self, backend: Backend, dataset: Dataset, config: SearchConfig, genotypes: list[Genotype]
    ) -> None:
        supernet = backend.supernet(config, dataset)

        rates = [
            [step.rate for step in supernet.train(genotypes, np.zeros(4, np.int64), round_index=index)]
            for index in (0, 1)
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

    def test_scores_by_logits_are_the_supernets_own_and_bring_log_likelihoods(
        self, backend: Backend, dataset: Dataset, config: SearchConfig, genotypes: list[Genotype]
    ) -> None:
        supernet = _shared(backend, config, dataset)
        _train(supernet, genotypes, 8)

        scored = score_genotypes(genotypes, supernet)

        assert [entry.score for entry in scored] == supernet.score(genotypes).tolist()
        for genotype, entry in zip(genotypes, scored, strict=True):
            logits = supernet.logits(genotype, dataset.x_dev).astype(np.float64)
            shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            right = shares[np.arange(len(dataset.y_dev)), dataset.y_dev]
            assert entry.log_likelihood == pytest.approx(float(np.log(right).mean()))

    def test_scoring_leaves_the_weights_as_they_were(
        self, backend: Backend, dataset: Dataset, config: SearchConfig, genotypes: list[Genotype]
    ) -> None:
        supernet = backend.supernet(config, dataset)
        _train(supernet, genotypes, 2)
        before = copy_of(supernet.state())

        supernet.score(genotypes)

        assert are_equal(before, supernet.state())

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


class BackendContract(SharedWeightsContract, StandAloneContract):
    """Tests that hold for every backend; a subclass supplies the fixture ``backend``.

    Its two parts may be inherited by two classes, which then can be tested in two processes.
    """


def _shared(backend: Backend, config: SearchConfig, dataset: Dataset) -> SharedWeights:
    supernet = backend.supernet(config, dataset)
    assert isinstance(supernet, SharedWeights)
    return supernet


def _train(supernet: Any, pool: Sequence[Genotype], steps: int, start: int = 0, stop: int | None = None) -> list[float]:
    drawn = np.arange(steps) % len(pool)
    losses = []
    for step in supernet.train(pool, drawn, round_index=0, start=start):
        losses.append(step.loss)
        if stop is not None and step.step + 1 == stop:
            break
    return losses
