"""Contract of a backend's stand-alone networks, as tests that its own tests inherit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import evolve

from bnao.classification import Classification
from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import DataConfig, MachineConfig
from bnao.data.dataset import Dataset
from bnao.data.imagenet import stream_dataset
from bnao.evaluation.scoring import classify_test_images
from bnao.network.size import count_parameters
from bnao.network.state import without_momenta
from bnao.network.trained import about_training, trained_of
from bnao.protocols import Backend, Exporting
from bnao.space.genotype import Genotype
from bnao.testing.fixtures import ContractFixtures
from bnao.testing.images import save_images
from bnao.testing.probes import ProbeContract
from bnao.testing.states import are_equal, copy_of

_IMAGES = ("x_train", "x_dev", "x_test")


class StandAloneContract(ContractFixtures, ProbeContract):
    """The part of ``BackendContract`` about networks of one genotype, trained alone or probed untrained."""

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

            assert network.parameters == count_parameters(genotype, large.network(config.network))

    # --- stand-alone networks

    def test_a_stand_alone_network_learns(
        self, backend: Backend, dataset: Dataset, short: EvaluateConfig, genotypes: list[Genotype]
    ) -> None:
        network = backend.stand_alone(genotypes[0], evolve(short, epochs=12), dataset, seed=0)

        losses = np.array([step.loss for step in network.train()])

        assert losses[-network.epoch_steps :].mean() < losses[: network.epoch_steps].mean()
        assert (network.logits(dataset.x_test).argmax(1) == dataset.y_test).mean() > 0.5  # chance is 0.25

    def test_stand_alone_weights_loaded_give_the_same_logits(
        self, backend: Backend, dataset: Dataset, short: EvaluateConfig, genotypes: list[Genotype]
    ) -> None:
        network = backend.stand_alone(genotypes[0], evolve(short, epochs=1), dataset, seed=0)
        for _ in network.train():
            pass
        other = backend.stand_alone(genotypes[0], short, dataset, seed=7)

        other.load_state(copy_of(network.state()))

        assert (other.logits(dataset.x_test) == network.logits(dataset.x_test)).all()

    def test_a_stored_network_tested_again_has_the_same_accuracy(
        self, backend: Backend, dataset: Dataset, short: EvaluateConfig, genotypes: list[Genotype]
    ) -> None:
        network = backend.stand_alone(genotypes[0], evolve(short, epochs=3), dataset, seed=0)
        for _ in network.train():
            pass
        about = about_training(genotypes[0], dataset.network(short.network), dataset, 0, 0.5)
        trained = trained_of(without_momenta(network.state()), about, "the trained network")

        found = classify_test_images(trained, backend, dataset, short.machine)

        expected = Classification.of([(network.logits(dataset.x_test), dataset.y_test)])
        assert found.ranks.tolist() == expected.ranks.tolist()
        assert found.log_likelihood == expected.log_likelihood

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

        logits = backend.logits(trained)((dataset.x_test / 255).astype(np.float32))

        expected = network.logits(dataset.x_test)
        assert abs(logits - expected).max() < 1e-4 * max(1.0, abs(expected).max())

    def test_stand_alone_training_that_was_stopped_goes_on_bit_for_bit(
        self, backend: Backend, dataset: Dataset, short: EvaluateConfig, genotypes: list[Genotype]
    ) -> None:
        whole = backend.stand_alone(genotypes[0], short, dataset, seed=0)
        for _ in whole.train():
            pass
        stopped = backend.stand_alone(genotypes[0], short, dataset, seed=0)
        assert whole.epoch_steps == 5  # 160 images in batches of 32: it is stopped within the second epoch
        for step in stopped.train():
            if step.step == 6:
                break
        resumed = backend.stand_alone(genotypes[0], short, dataset, seed=0)

        resumed.load_state(copy_of(stopped.state()))
        steps = [step.step for step in resumed.train(start=7)]

        assert steps == list(range(7, 15))
        assert are_equal(whole.state(), resumed.state())

    @pytest.mark.parametrize("precision", ["float32", "bfloat16"])
    def test_an_imagenet_network_trains_on_images_from_disk_and_goes_on_bit_for_bit(
        self, backend: Backend, short: EvaluateConfig, genotypes: list[Genotype], tmp_path: Path, precision: str
    ) -> None:
        data = DataConfig(
            dataset="imagenet", data_dir=str(save_images(tmp_path)), image_size=32, crop="resized", jitter=0.4
        )
        config = evolve(
            short,
            epochs=1,
            network=evolve(short.network, network="imagenet"),
            data=data,
            training=evolve(short.training, batch_size=8, label_smoothing=0.1),
            machine=MachineConfig(backend=backend.name, precision=precision),
        )
        whole, resumed = (
            backend.stand_alone(genotypes[0], config, stream_dataset(data, workers), seed=0) for workers in (1, 0)
        )

        for step in whole.train():
            assert np.isfinite(step.loss)
            if step.step == 1:
                resumed.load_state(copy_of(whole.state()))
        steps = [step.step for step in resumed.train(start=2)]

        assert steps == [2, 3]
        assert are_equal(whole.state(), resumed.state())
        for images, labels in stream_dataset(data, 0).test_batches(8):
            assert whole.logits(images).shape == (len(labels), 4)
            assert np.isfinite(whole.logits(images)).all()
