"""Contract of what probes untrained networks for zero-cost scores, as tests that a backend's own tests inherit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bnao.config.evaluation import EvaluateConfig
from bnao.data.dataset import Dataset
from bnao.protocols import Backend, Probe, Probing
from bnao.space.genotype import Genotype
from bnao.testing.states import are_equal, copy_of


class ProbeContract:
    """Tests that hold for every backend that probes; the fixtures are those of ``BackendContract``."""

    #: genotypes whose flow is followed; fewer where each of their operations is compiled
    probed = 3

    # --- untrained networks

    def test_relu_codes_agree_with_themselves_and_alike_both_ways(
        self, backend: Backend, dataset: Dataset, short: EvaluateConfig, genotypes: list[Genotype]
    ) -> None:
        probe, images, _ = _probed(backend, dataset, short, genotypes[0])

        agreements = probe.agreements(images)

        assert agreements.shape == (len(images), len(images))
        assert (agreements == agreements.T).all()
        assert (agreements % 1 == 0).all()
        assert len(set(np.diag(agreements).tolist())) == 1  # all ReLUs there are
        assert (agreements <= agreements[0, 0]).all() and agreements.min() < agreements[0, 0]

    def test_a_positive_linear_network_passes_on_in_its_last_layer_what_its_first_takes_in(
        self, backend: Backend, dataset: Dataset, short: EvaluateConfig, genotypes: list[Genotype]
    ) -> None:
        for genotype in genotypes[: self.probed]:
            probe, _, _ = _probed(backend, dataset, short, genotype)

            kernels, gradients = probe.kernels(), probe.flow_gradients()

            # Tanaka et al., Theorem 1: every cut through the network carries the same flow
            first, last = (
                float((np.abs(kernels[name]).astype(np.float64) * gradients[name]).sum())
                for name in ("stem.0.kernel", "classifier.weight")
            )
            assert set(gradients) == set(kernels)
            assert first == pytest.approx(last, rel=1e-6)
            assert first > 0

    def test_probing_changes_nothing_and_depends_on_the_seed_alone(
        self, backend: Backend, dataset: Dataset, short: EvaluateConfig, genotypes: list[Genotype]
    ) -> None:
        probe, images, labels = _probed(backend, dataset, short, genotypes[0])
        again, _, _ = _probed(backend, dataset, short, genotypes[0])
        other, _, _ = _probed(backend, dataset, short, genotypes[0], seed=1)
        before, jacobian = copy_of(probe.kernels()), probe.jacobian(images)
        gradients = copy_of(probe.loss_gradients(images, labels))
        probe.agreements(images)
        probe.flow_gradients()

        assert are_equal(probe.kernels(), before)
        assert (probe.jacobian(images) == jacobian).all()
        assert (again.jacobian(images) == jacobian).all()
        assert are_equal(again.loss_gradients(images, labels), gradients)
        assert (other.jacobian(images) != jacobian).any()

    def test_the_gradient_of_a_wrong_label_is_another(
        self, backend: Backend, dataset: Dataset, short: EvaluateConfig, genotypes: list[Genotype]
    ) -> None:
        probe, images, labels = _probed(backend, dataset, short, genotypes[0])

        right, wrong = (probe.loss_gradients(images, some) for some in (labels, (labels + 1) % dataset.classes))

        assert {name: value.shape for name, value in right.items()} == {
            name: value.shape for name, value in probe.kernels().items()
        }
        assert not are_equal(right, wrong)
        # the softmax's gradient sums to 0 over classes
        assert abs(right["classifier.weight"].sum(0)).max() < 1e-5


def _probed(
    backend: Backend, dataset: Dataset, config: EvaluateConfig, genotype: Genotype, seed: int = 0
) -> tuple[Probe, Any, Any]:
    """Return an untrained network to probe, and images and labels for it."""
    if not isinstance(backend, Probing):
        pytest.skip(f"backend {backend.name!r} does not probe untrained networks")
    network = dataset.network(config.network)
    probe = backend.probe(genotype, network, config.machine, seed=seed)
    return probe, dataset.normalised(dataset.x_train[:8]), dataset.y_train[:8]
