"""Contract of a supernet's step of several passes, as tests that a backend's own tests inherit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from numpy.typing import NDArray

from bnao.config.settings import SearchConfig, TrainingConfig
from bnao.data.dataset import Dataset
from bnao.errors import BackendError, GenotypeError, ProtocolError
from bnao.network.parameters import shared_place
from bnao.network.stack import stack
from bnao.network.state import MOMENTUM, without_momenta
from bnao.protocols import Architecture, Backend, Outcome, Pass, Supernet
from bnao.space.genotype import Genotype
from bnao.space.mixture import Mixture, mixture_of, mixture_places, mixture_shape
from bnao.space.spaces import SearchSpace, space_named
from bnao.streams import stream
from bnao.testing.paths import path_names
from bnao.testing.states import are_equal, copy_of
from bnao.training.shared_weights import SharedWeights
from bnao.training.unrolled import Differentiable, slope_ahead

_B = 32  # as trainings here: what a backend compiles for one serves the other
#: a bound that no gradient meets, where gradients are to be seen; without one, a backend may compile another step
_UNBOUNDED = 1e9
Make = Callable[..., Supernet]
Give = Callable[..., Pass]


class SupernetContract:
    """Tests of ``step`` and ``logits``; part of ``BackendContract``, whose fixtures they use."""

    #: whether a step takes several passes, and ones that do not learn; where not, it must refuse them
    several_passes = True
    #: whether it computes mixtures; where not, it must refuse them
    mixtures = True

    @pytest.fixture
    def made(self, backend: Backend, dataset: Dataset, config: SearchConfig) -> Make:
        """Return a supernet whose momenta after one step are the gradients; other settings of training on request."""

        def made(**training: Any) -> Supernet:
            plain = {"weight_decay": 0.0, "gradient_norm": _UNBOUNDED, **training}
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

    @pytest.fixture
    def mixing(self, backend: Backend, dataset: Dataset, config: SearchConfig) -> Supernet:
        """Return a supernet whose places have one set of weights each, as a mixture needs them."""
        if not self.mixtures:
            pytest.skip("no mixtures")
        plain = evolve(config.training, weight_decay=0.0, gradient_norm=_UNBOUNDED)
        shared = backend.supernet(
            evolve(config, training=plain, network=evolve(config.network, share_over="source")), dataset
        )
        assert isinstance(shared, SharedWeights)
        return shared.supernet

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
        before = copy_of(supernet.state())
        one = given(genotypes[0])

        (outcome,) = supernet.step([evolve(one, images=one.images * np.float32(np.nan))], rate=0.1)

        assert not np.isfinite(outcome.loss)
        assert are_equal(supernet.state(), before)

    def test_passes_that_cannot_be_made_are_refused(self, made: Make, given: Give, genotypes: list[Genotype]) -> None:
        supernet = made()
        one = given(genotypes[0])
        for passes, message in (
            ([], "at least one"),
            ([one, evolve(one, teacher=1)], "pass 1 has teacher 1; it must be an earlier pass"),
            ([evolve(one, above=-1)], "pass 0 has above -1"),
            ([one, evolve(one, images=one.images[:4], labels=one.labels[:4], teacher=0)], "4 images, and its teacher"),
            ([evolve(one, slope="all")], "only a mixture has one"),
            ([evolve(one, masks=np.ones((1, 1, 1), np.float32))], r"masks of shape \(1, 1, 1\); a path's have shape"),
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
        before = copy_of(supernet.state())

        for passes in ([one, one], [evolve(one, learn=False)], [evolve(one, weight=0.5)]):
            with pytest.raises(BackendError, match=f"^backend '{backend.name}' makes one pass a step"):
                supernet.step(passes, rate=0.1)
        assert are_equal(supernet.state(), before)

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
            assert np.allclose(gradient, expected, rtol=1e-3, atol=1e-5), name
        assert set(together) == {name for found, _ in alone for name in found}

    def test_only_the_union_of_the_paths_moves(self, made: Make, given: Give, genotypes: list[Genotype]) -> None:
        self._several()
        supernet = made(weight_decay=0.01)
        supernet.step([given(genotypes[0])], rate=0.1)  # leaves momenta that must not move anything
        before = without_momenta(copy_of(supernet.state()))

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
        before = copy_of(supernet.state())

        (alone,) = supernet.step([evolve(seen, learn=False)], rate=0.1)

        assert are_equal(supernet.state(), before)
        _, beside = supernet.step([one, evolve(seen, learn=False)], rate=0.1)
        other.step([one], rate=0.1)
        assert are_equal(supernet.state(), other.state())
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

    # --- mixtures

    def test_mixtures_are_refused_in_a_line_where_they_are_not_known(
        self, backend: Backend, made: Make, given: Give
    ) -> None:
        if self.mixtures:
            pytest.skip("mixtures are known")
        supernet = made()
        one = given(_mixture(supernet))

        for refused in (lambda: supernet.step([one], rate=0.1), lambda: supernet.logits(one.architecture, one.images)):
            with pytest.raises(BackendError, match=f"^backend '{backend.name}' computes no mixtures"):
                refused()

    def test_a_mixture_of_another_space_is_refused(self, mixing: Supernet, given: Give) -> None:
        one = given(Mixture(np.ones((2, 3, 4))))

        with pytest.raises(GenotypeError, match=r"have shape \(2, 3, 4\); in space"):
            mixing.step([one], rate=0.1)

    def test_a_genotype_as_a_mixture_gives_the_paths_logits(
        self, mixing: Supernet, given: Give, genotypes: list[Genotype]
    ) -> None:
        images = given(genotypes[0]).images
        for genotype in genotypes:
            path = mixing.logits(genotype, images)

            mixed = mixing.logits(mixture_of(genotype, _space(mixing)), images)

            assert mixed == pytest.approx(path, rel=1e-4, abs=1e-4)

    def test_a_slope_is_the_derivative_by_the_weights_that_are_not_0(self, mixing: Supernet, given: Give) -> None:
        mixture = _mixture(mixing)
        one = given(mixture, learn=False, slope="used")
        before = copy_of(mixing.state())

        (outcome,) = mixing.step([one], rate=0.1)
        (half,) = mixing.step([evolve(one, weight=0.5)], rate=0.1)

        assert outcome.slope is not None and half.slope is not None
        assert outcome.slope.shape == mixture.weights.shape
        assert (outcome.slope[mixture.weights == 0] == 0).all()
        assert np.linalg.norm(outcome.slope) == pytest.approx(
            _steepness(mixing, one, outcome.slope), rel=0.05, abs=5e-3
        )
        assert half.slope == pytest.approx(outcome.slope / 2, rel=1e-4, abs=1e-7)
        assert are_equal(mixing.state(), before)

    def test_a_slope_of_all_is_that_of_weights_that_are_0_too(self, mixing: Supernet, given: Give) -> None:
        mixture = _mixture(mixing)
        one = given(mixture, learn=False, slope="all")

        (outcome,) = mixing.step([one], rate=0.1)
        (used,) = mixing.step([evolve(one, slope="used")], rate=0.1)

        assert outcome.slope is not None and used.slope is not None
        assert outcome.loss == pytest.approx(used.loss, rel=1e-6)
        computed = mixture.weights != 0
        assert outcome.slope[computed] == pytest.approx(used.slope[computed], rel=1e-3, abs=1e-6)
        idle = np.where(computed, 0, outcome.slope)
        assert np.linalg.norm(idle) == pytest.approx(_steepness(mixing, one, idle), rel=0.05, abs=5e-3)

    @pytest.mark.parametrize("slope", ["no", "all"])
    def test_only_operations_whose_weight_is_not_0_learn(self, mixing: Supernet, given: Give, slope: str) -> None:
        mixture, space = _mixture(mixing), _space(mixing)
        before = copy_of(mixing.state())

        (outcome,) = mixing.step([given(mixture, slope=slope)], rate=0.1)

        after = mixing.state()
        moved = {name for name in before if (after[name] != before[name]).any()}
        places = mixture_places(space)
        for cell, place, number in np.argwhere(mixture.weights == 0):
            node, source = places[place]
            named = (
                (source, space.operations[number]) if space.rules.residual else (0, space.operations[number], source)
            )
            for position in stack(mixing.network):
                if space.cells == 1 or position.reduction == bool(cell):
                    prefix = shared_place("source", f"cells.{position.index}", node, *named)
                    assert not {name for name in moved if name.startswith(f"{prefix}.")}, prefix
        assert len(moved) > len(before) / 4
        assert (outcome.slope is None) == (slope == "no")

    def test_a_mixtures_gradients_and_a_paths_are_summed(
        self, mixing: Supernet, given: Give, genotypes: list[Genotype]
    ) -> None:
        begun = copy_of(mixing.state())
        passes = [given(_mixture(mixing), slope="used"), given(genotypes[0], batch=1)]
        alone = []
        for each in passes:
            mixing.load_state(begun)
            alone.append(_after(mixing, [each])[0])
        mixing.load_state(begun)

        together, _ = _after(mixing, passes)

        for name, gradient in together.items():
            expected = sum(found.get(name, 0) for found in alone)
            assert np.allclose(gradient, expected, rtol=1e-3, atol=1e-5), name

    def test_masks_multiply_each_images_identities_of_a_mixture(self, mixing: Supernet, given: Give) -> None:
        space, one = _space(mixing), given(_mixture(mixing), learn=False)
        ones = np.ones((len(stack(mixing.network)), len(mixture_places(space)), _B), np.float32)
        weights = np.array(_mixture(mixing).weights)
        weights[..., space.operations.index("skip_connect")] *= 0.25

        (plain,) = mixing.step([one], rate=0.1)
        (kept,) = mixing.step([evolve(one, masks=ones)], rate=0.1)
        (dropped,) = mixing.step([evolve(one, masks=0.25 * ones, slope="used")], rate=0.1)
        (less,) = mixing.step([evolve(one, architecture=Mixture(weights), slope="used")], rate=0.1)

        assert kept.loss == pytest.approx(plain.loss, rel=1e-5)
        assert dropped.loss == pytest.approx(less.loss, rel=1e-5)
        assert abs(dropped.loss - plain.loss) > 1e-4
        assert dropped.slope is not None and less.slope is not None
        expected = np.array(less.slope)
        expected[..., space.operations.index("skip_connect")] *= 0.25
        assert dropped.slope == pytest.approx(expected, rel=1e-3, abs=1e-6)

    # --- gradients

    def test_gradients_are_those_an_update_moves_along_and_change_nothing(
        self, mixing: Supernet, given: Give, genotypes: list[Genotype]
    ) -> None:
        if not isinstance(mixing, Differentiable):
            pytest.skip("no gradients without an update")
        passes = [given(_mixture(mixing)), given(genotypes[0], batch=1, weight=0.5)]
        before = copy_of(mixing.state())

        outcomes, found = mixing.gradients(passes)

        assert are_equal(mixing.state(), before)
        expected, updated = _after(mixing, passes)
        assert [one.loss for one in outcomes] == pytest.approx([one.loss for one in updated], rel=1e-6)
        assert set(expected) <= set(found)
        for name, gradient in found.items():
            assert np.allclose(gradient, expected.get(name, 0), rtol=1e-3, atol=1e-5), name

    def test_the_slope_ahead_depends_on_the_step_that_is_not_made(self, mixing: Supernet, given: Give) -> None:
        # what it is, tests/training/test_unrolled.py holds against derivatives by hand
        if not isinstance(mixing, Differentiable):
            pytest.skip("no gradients without an update")
        dev, train = given(_mixture(mixing), batch=1, learn=False, slope="used"), given(_mixture(mixing))
        plain = TrainingConfig(momentum=0.0, weight_decay=0.0)
        before = copy_of(mixing.state())
        (now,) = mixing.step([dev], rate=0.1)

        still, ahead = (slope_ahead(mixing, dev, train, rate, plain) for rate in (0.0, 0.1))

        assert are_equal(mixing.state(), before)
        assert still.slope is not None and ahead.slope is not None and now.slope is not None
        assert still.loss == pytest.approx(now.loss, rel=1e-6)
        assert still.slope == pytest.approx(now.slope, rel=1e-3, abs=1e-6)
        mixing.step([train], rate=0.1)
        (after,) = mixing.step([dev], rate=0.1)
        assert ahead.loss == pytest.approx(after.loss, rel=1e-4)
        assert after.slope is not None
        assert np.linalg.norm(ahead.slope - after.slope) > 1e-3 * np.linalg.norm(after.slope)


def _space(supernet: Supernet) -> SearchSpace:
    return space_named(supernet.network.space, supernet.network.nodes)


def _noise(shape: tuple[int, ...], purpose: str) -> NDArray[np.float64]:
    return stream(0, f"contract of mixtures: {purpose}").standard_normal(shape)


def _mixture(supernet: Supernet) -> Mixture:
    """Return positive weights of about 2/3 of the operations, at least one at every place, so all states are read."""
    space = _space(supernet)
    weights = np.exp(_noise(mixture_shape(space), "weights")) * (_noise(mixture_shape(space), "computed") > -0.4)
    weights[:, :, space.operations.index("skip_connect")] = 0.5
    return Mixture(weights / len(space.operations))


def _steepness(supernet: Supernet, one: Pass, slope: NDArray[np.float64], by: float = 3e-4) -> float:
    """Return the derivative of the loss in the direction of a slope, by two values of the loss.

    Of a slope that is right it is the norm. Where a ReLU bends between the two values the difference is off, and by
    the less the closer they are; much closer, and float32 rounds what is left of it away.
    """
    assert isinstance(one.architecture, Mixture)
    weights, direction = one.architecture.weights, slope / np.linalg.norm(slope)
    losses = []
    for sign in (1, -1):
        there = evolve(one, architecture=Mixture(weights + sign * by * direction), slope="no", learn=False)
        (outcome,) = supernet.step([there], rate=0.1)
        losses.append(outcome.loss)
    return (losses[0] - losses[1]) / (2 * by)


def _after(supernet: Supernet, passes: Sequence[Pass]) -> tuple[dict[str, NDArray[np.float64]], list[Outcome]]:
    """Return the gradients of a step of a fresh supernet, and its outcomes."""
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
