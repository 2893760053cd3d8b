"""What every backend's supernet must do in a step of several passes, as tests that a backend's own tests inherit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from numpy.typing import NDArray

from bnao.config.settings import SearchConfig
from bnao.data.dataset import Dataset
from bnao.errors import BackendError, ProtocolError
from bnao.network.state import MOMENTUM, without_momenta
from bnao.protocols import Architecture, Backend, Outcome, Pass, State, Supernet
from bnao.space.genotype import Genotype
from bnao.streams import stream
from bnao.testing.paths import path_names
from bnao.training.shared_weights import SharedWeights

_B = 16
Make = Callable[..., Supernet]
Give = Callable[..., Pass]


class SupernetContract:
    """Tests of ``step`` and ``logits``; part of ``BackendContract``, whose fixtures they use."""

    #: whether a step takes several passes, and ones that do not learn; where not, it must refuse them
    several_passes = True

    @pytest.fixture
    def made(self, backend: Backend, dataset: Dataset, config: SearchConfig) -> Make:
        """Return a supernet whose momenta after one step are the gradients; other settings of training on request."""

        def made(**training: Any) -> Supernet:
            plain = {"weight_decay": 0.0, "gradient_norm": 0.0, **training}
            shared = backend.supernet(evolve(config, training=evolve(config.training, **plain)), dataset)
            assert isinstance(shared, SharedWeights)
            return shared.supernet

        return made

    @pytest.fixture
    def given(self, dataset: Dataset, config: SearchConfig) -> Give:
        """Return a pass over a batch of noise, one of several batches."""
        network = dataset.network(config.network)

        def given(architecture: Architecture, batch: int = 0, **options: Any) -> Pass:
            rng = stream(batch, "contract of passes")
            images = rng.standard_normal((_B, *network.image), np.float32)
            return Pass(architecture, images, rng.integers(network.classes, size=_B), **options)

        return given

    def _several(self) -> None:
        if not self.several_passes:
            pytest.skip("one pass a step")

    # --- one pass

    def test_loss_accuracy_and_the_biases_gradient_are_those_of_the_logits(
        self, made: Make, given: Give, genotypes: list[Genotype]
    ) -> None:
        supernet, one = made(), given(genotypes[0])
        probabilities = _softmax(supernet.logits(one.architecture, one.images))

        (outcome,) = supernet.step([one], rate=0.1)

        assert outcome.loss == pytest.approx(_cross_entropy(probabilities, _one_hot(one, supernet)), rel=1e-4)
        assert outcome.accuracy == pytest.approx((probabilities.argmax(1) == one.labels).mean())
        assert outcome.slope is None
        expected = (probabilities - _one_hot(one, supernet)).mean(0)
        assert _gradients(supernet)["classifier.bias"] == pytest.approx(expected, abs=1e-5)

    def test_a_loss_that_is_not_finite_changes_nothing(
        self, made: Make, given: Give, genotypes: list[Genotype]
    ) -> None:
        supernet = made()
        before = _copied(supernet.state())
        one = given(genotypes[0])

        (outcome,) = supernet.step([evolve(one, images=one.images * np.float32(np.nan))], rate=0.1)

        assert not np.isfinite(outcome.loss)
        assert _equal(supernet.state(), before)

    def test_passes_that_cannot_be_made_are_refused(self, made: Make, given: Give, genotypes: list[Genotype]) -> None:
        supernet = made()
        one = given(genotypes[0])
        for passes, message in (
            ([], "at least one"),
            ([one, evolve(one, teacher=1)], "pass 1 has teacher 1; it must be an earlier pass"),
            ([evolve(one, above=-1)], "pass 0 has above -1"),
            ([evolve(one, slope="all")], "only a mixture has one"),
        ):
            with pytest.raises(ProtocolError, match=message):
                supernet.step(passes, rate=0.1)

    # --- several passes

    def test_several_passes_are_refused_in_a_line_where_they_are_not_known(
        self, backend: Backend, made: Make, given: Give, genotypes: list[Genotype]
    ) -> None:
        if self.several_passes:
            pytest.skip("several passes a step")
        supernet = made()
        one = given(genotypes[0])
        before = _copied(supernet.state())

        for passes in ([one, one], [evolve(one, learn=False)], [evolve(one, weight=0.5)]):
            with pytest.raises(BackendError, match=f"^backend '{backend.name}' makes one pass a step"):
                supernet.step(passes, rate=0.1)
        assert _equal(supernet.state(), before)

    def test_gradients_of_several_passes_are_summed_by_their_weights(
        self, made: Make, given: Give, genotypes: list[Genotype]
    ) -> None:
        self._several()
        passes = [
            given(genotype, batch=batch, weight=weight)
            for batch, (genotype, weight) in enumerate(zip(genotypes, (1.0, 0.5, -2.0), strict=False))
        ]

        together, outcomes = _after(made(), passes)

        alone = [_after(made(), [evolve(each, weight=1.0)]) for each in passes]
        assert [outcome.loss for outcome in outcomes] == pytest.approx([each[0].loss for _, each in alone])
        for name, gradient in together.items():
            expected = sum(each.weight * found.get(name, 0) for each, (found, _) in zip(passes, alone, strict=True))
            assert gradient == pytest.approx(expected, rel=1e-3, abs=1e-5), name
        assert set(together) == {name for found, _ in alone for name in found}

    def test_only_the_union_of_the_paths_moves(self, made: Make, given: Give, genotypes: list[Genotype]) -> None:
        self._several()
        supernet = made(weight_decay=0.01)
        supernet.step([given(genotypes[0])], rate=0.1)  # leaves momenta that must not move anything
        before = without_momenta(_copied(supernet.state()))

        supernet.step([given(genotype) for genotype in genotypes[1:3]], rate=0.1)

        path = path_names(genotypes[1], supernet.network) | path_names(genotypes[2], supernet.network)
        after = supernet.state()
        moved = {name for name in before if (after[name] != before[name]).any()}
        assert moved <= path
        assert {name for name in path if before[name].ndim == 4} <= moved

    def test_a_pass_that_does_not_learn_changes_nothing(
        self, made: Make, given: Give, genotypes: list[Genotype]
    ) -> None:
        self._several()
        one, seen = (given(genotype) for genotype in genotypes[:2])
        supernet, other = made(weight_decay=0.01), made(weight_decay=0.01)
        before = _copied(supernet.state())

        (alone,) = supernet.step([evolve(seen, learn=False)], rate=0.1)

        assert _equal(supernet.state(), before)
        _, beside = supernet.step([one, evolve(seen, learn=False)], rate=0.1)
        other.step([one], rate=0.1)
        assert _equal(supernet.state(), other.state())
        assert (alone.loss, alone.accuracy) == (beside.loss, beside.accuracy)

    @pytest.mark.parametrize("teacher_learns", [False, True])
    def test_a_taught_pass_learns_the_teachers_probabilities_and_they_do_not_learn_from_it(
        self, made: Make, given: Give, genotypes: list[Genotype], teacher_learns: bool
    ) -> None:
        self._several()
        supernet = made()
        teacher = evolve(given(genotypes[0]), learn=teacher_learns)
        pupil = evolve(given(genotypes[1]), teacher=0, weight=0.5)
        taught, target = (_softmax(supernet.logits(each.architecture, each.images)) for each in (pupil, teacher))

        _, outcome = supernet.step([teacher, pupil], rate=0.1)

        assert outcome.loss == pytest.approx(_cross_entropy(taught, target), rel=1e-4)
        assert outcome.accuracy == pytest.approx((taught.argmax(1) == pupil.labels).mean())
        expected = 0.5 * (taught - target).mean(0)
        if teacher_learns:
            expected += (target - _one_hot(teacher, supernet)).mean(0)
        assert _gradients(supernet)["classifier.bias"] == pytest.approx(expected, abs=1e-5)

    def test_a_pass_above_another_learns_only_while_its_loss_is_the_larger(
        self, made: Make, given: Give, genotypes: list[Genotype]
    ) -> None:
        self._several()
        passes = [given(genotype) for genotype in genotypes]
        supernet = made()
        losses = [
            _cross_entropy(_softmax(supernet.logits(each.architecture, each.images)), _one_hot(each, supernet))
            for each in passes
        ]
        lowest, highest = passes[int(np.argmin(losses))], passes[int(np.argmax(losses))]

        def bias(first: Pass, second: Pass) -> tuple[NDArray[np.float64], float]:
            gradients, outcomes = _after(made(), [first, evolve(second, above=0, weight=3.0)])
            return gradients["classifier.bias"], outcomes[1].loss

        of_lowest, of_highest = (_after(made(), [each])[0]["classifier.bias"] for each in (lowest, highest))
        above, loss = bias(lowest, highest)
        below, _ = bias(highest, lowest)
        assert loss == pytest.approx(max(losses), rel=1e-4)  # the outcome is the pass's own loss
        assert above == pytest.approx(of_lowest + 3 * of_highest, abs=1e-5)
        assert below == pytest.approx(of_highest, abs=1e-6)


def _after(supernet: Supernet, passes: Sequence[Pass]) -> tuple[dict[str, NDArray[np.float64]], list[Outcome]]:
    """The gradients of a step of a fresh supernet, and its outcomes."""
    outcomes = supernet.step(passes, rate=0.1)
    return _gradients(supernet), outcomes


def _gradients(supernet: Supernet) -> dict[str, NDArray[np.float64]]:
    state = supernet.state()
    return {
        name.removeprefix(MOMENTUM): np.array(value, np.float64)
        for name, value in state.items()
        if name.startswith(MOMENTUM) and np.any(value)
    }


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(1, keepdims=True)
    return shares


def _one_hot(one: Pass, supernet: Supernet) -> NDArray[np.float64]:
    return np.eye(supernet.network.classes)[one.labels]


def _cross_entropy(probabilities: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    return float(-(targets * np.log(probabilities)).sum(1).mean())


def _copied(state: State) -> dict[str, Any]:
    return {name: np.array(value) for name, value in state.items()}


def _equal(one: State, other: State) -> bool:
    return set(one) == set(other) and all((one[name] == other[name]).all() for name in one)
