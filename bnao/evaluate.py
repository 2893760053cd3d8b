"""Stand-alone training of chosen genotypes from scratch, with the paper's recipe (Sec. 5; SPEC sections 3 and 8)."""

from __future__ import annotations

import hashlib
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import evolve, frozen

from bnao.config import EvaluateConfig, SearchConfig
from bnao.data import Dataset
from bnao.genotype import Genotype
from bnao.protocols import Backend, Listener, StandAlone
from bnao.ranking import Estimate, rank_agreement
from bnao.run import Folder, Run
from bnao.size import multiply_adds, parameters
from bnao.trained import about_training
from bnao.weights import read_weights, to_bytes, without_momenta

RESULT = "evaluation.json"


@frozen
class Evaluation:
    """What stand-alone training made of one genotype.

    Attributes:
        genotype: the architecture.
        parameters: trainable parameters of its network, auxiliary head excluded.
        multiply_adds: of that network, for one image.
        test_errors: share of test images told wrong, in [0, 1], one for each repeat.

    >>> from bnao.space import SPACES
    >>> from bnao.streams import stream
    >>> (genotype,) = SPACES["nao"].random_genotypes(1, stream(0, "example"))
    >>> done = Evaluation(genotype, parameters=1000, multiply_adds=5000, test_errors=(0.25, 0.75))
    >>> done.mean, round(done.deviation, 4)
    (0.5, 0.3536)
    """

    genotype: Genotype
    parameters: int
    multiply_adds: int
    test_errors: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean test error over the repeats."""
        return statistics.fmean(self.test_errors)

    @property
    def deviation(self) -> float:
        """Standard deviation of the test error over the repeats; NaN for a single one."""
        return statistics.stdev(self.test_errors) if len(self.test_errors) > 1 else math.nan

    def to_json(self) -> dict[str, Any]:
        """Plain data, as in evaluation.json; a deviation that is not known is null."""
        return {
            "genotype": str(self.genotype),
            "test_error": self.mean,
            "standard_deviation": None if math.isnan(self.deviation) else self.deviation,
            "test_errors": list(self.test_errors),
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
        }


def evaluate(
    genotypes: Sequence[Genotype],
    config: EvaluateConfig,
    backend: Backend,
    dataset: Dataset,
    *,
    run: Run | None = None,
    scores: Mapping[Genotype, float] | None = None,
    listen: Listener = lambda event: None,
) -> list[Evaluation]:
    """Train each genotype's own network ``config.repeats`` times and test it.

    Networks are trained on the train and dev parts together and tested once, at the end, on the test part.

    Args:
        genotypes: the architectures.
        config: all settings.
        backend: makes and trains the networks.
        dataset: images; see ``bnao.load_dataset``.
        run: a folder for weights and results. What it holds of finished trainings is not done again, and a
            training that was killed goes on from its last checkpoint. None: nothing is kept.
        scores: one-shot scores of the genotypes; with them the folder also gets the rank agreement.
        listen: is told every event.

    Returns:
        One evaluation a genotype, in the order given.

    Raises:
        DivergedError: a training's loss is not finite.
        RunError: the folder cannot be written; finished trainings are kept.
        GenotypeError: a genotype of another space.
    """
    if not genotypes:
        return []
    network = dataset.network(config.network)
    whole = dataset.joined()
    counts = parameters(genotypes, network).tolist(), multiply_adds(genotypes, network).tolist()
    evaluations = []
    for index, (genotype, weights, products) in enumerate(zip(genotypes, *counts, strict=True)):
        errors = []
        for repeat in range(config.repeats):
            place = {"genotype": index + 1, "of": len(genotypes), "repeat": repeat + 1}

            def tell(kind: str, place: Mapping[str, Any] = place, **values: Any) -> None:
                event = {"event": kind, **place, **values}
                if run:
                    run.log(event)
                listen(event)

            seed = config.seed + repeat
            name = f"trainings/{genotype_digest(genotype)}-seed-{seed}"
            training = Training(genotype, config, backend, whole, seed=seed, folder=run, name=name)
            errors.append(training.test_error(tell))
            tell("trained", test_error=errors[-1])
        evaluations.append(Evaluation(genotype, weights, products, tuple(errors)))
        if run:
            run.write_json(RESULT, {"evaluations": [done.to_json() for done in evaluations]})
    if run and scores is not None:
        estimates = {name: estimate.to_json() for name, estimate in agreement(evaluations, scores).items()}
        content = {"evaluations": [done.to_json() for done in evaluations], "agreement": estimates}
        run.write_json(RESULT, content)
    return evaluations


def genotype_digest(genotype: Genotype) -> str:
    """Twelve digits that tell a genotype from others."""
    return hashlib.blake2b(str(genotype).encode(), digest_size=6).hexdigest()


class Training:
    """One network's training, kept in a folder where there is one.

    Args:
        genotype: the architecture.
        config: all settings.
        backend: makes and trains the network.
        dataset: trained on its train part, tested on its test part.
        seed: of this training.
        folder: what it holds of a finished training is not done again, and a training that was killed goes on from
            its last checkpoint. None: nothing is kept.
        name: of its files there, without a suffix.
        about: what else the file of its result says.
        keep_weights: whether the trained weights stay.
    """

    def __init__(
        self,
        genotype: Genotype,
        config: EvaluateConfig,
        backend: Backend,
        dataset: Dataset,
        *,
        seed: int,
        folder: Folder | None,
        name: str,
        about: Mapping[str, Any] | None = None,
        keep_weights: bool = True,
    ) -> None:
        self.genotype, self.config, self.backend, self.dataset = genotype, config, backend, dataset
        self.seed, self.folder, self.name = seed, folder, name
        self.about, self.keep_weights = about or {}, keep_weights

    @property
    def done(self) -> bool:
        """Whether it was finished before."""
        return self.folder is not None and self.folder.has(f"{self.name}.json")

    def test_error(self, tell: Callable[..., None]) -> float:
        """Train, unless that was done before, and test."""
        if self.folder is not None:
            known = self.folder.known(f"{self.name}.json", lambda content: float(content["test_error"]))
            if known is not None:
                return known
        network = self.backend.stand_alone(self.genotype, self.config, self.dataset, seed=self.seed)
        start = self._restore(network)
        saved = last = time.monotonic()
        for epoch in network.train(start):
            now = time.monotonic()
            tell(
                "epoch", epoch=epoch.epoch + 1, epochs=self.config.epochs, loss=epoch.loss, rate=epoch.rate,
                seconds=round(now - last, 3),
            )  # fmt: skip
            last = now
            if self.folder and now - saved >= self.config.checkpoint_seconds:
                self._checkpoint(network, epoch.epoch + 1)
                saved = last = time.monotonic()
        error = 1 - accuracy(network, self.dataset.x_test, self.dataset.y_test)
        if self.folder:
            if self.keep_weights:
                settings = self.dataset.network(self.config.network)
                about = about_training(self.genotype, settings, self.dataset, self.seed, error)
                self.folder.write(f"{self.name}.safetensors", to_bytes(without_momenta(network.state()), about))
            result = {"genotype": str(self.genotype), "seed": self.seed, "test_error": error}
            self.folder.write_json(f"{self.name}.json", {**result, **self.about})
            self.folder.remove(f"{self.name}.checkpoint.safetensors")
        return error

    def _restore(self, network: StandAlone) -> int:
        name = f"{self.name}.checkpoint.safetensors"
        if not (self.folder and self.folder.has(name)):
            return 0
        state, about = read_weights(self.folder.folder / name)
        network.load_state(state)
        return int(about["epoch"])

    def _checkpoint(self, network: StandAlone, epoch: int) -> None:
        if self.folder:
            content = to_bytes(network.state(), {"epoch": epoch})
            self.folder.write(f"{self.name}.checkpoint.safetensors", content)


def accuracy(network: StandAlone, images: Any, labels: Any) -> float:
    """The share of images whose largest logit is their label's, in [0, 1]."""
    return float((network.logits(images).argmax(1) == np.asarray(labels)).mean())


def agreement(evaluations: Sequence[Evaluation], scores: Mapping[Genotype, float]) -> dict[str, Estimate]:
    """How far one-shot scores and stand-alone accuracies order the genotypes the same way.

    Returns:
        Pairwise accuracy, Kendall's tau, Spearman's rho and precision at the top, with n and an interval.
    """
    predicted = [scores[done.genotype] for done in evaluations]
    return rank_agreement(predicted, [1 - done.mean for done in evaluations])


def short_training(genotype: Genotype, config: SearchConfig, backend: Backend, dataset: Dataset, epochs: int) -> float:
    """Dev accuracy after a short training on the train part alone, to re-rank a search's best.

    The network is the search's own size; the recipe is the paper's stand-alone one without the auxiliary head.
    """
    base = EvaluateConfig()
    short = evolve(
        base,
        epochs=epochs,
        seed=config.seed,
        network=config.network,
        data=config.data,
        training=evolve(base.training, batch_size=config.training.batch_size, auxiliary=0.0, dropout_keep=1.0),
        machine=config.machine,
    )
    network = backend.stand_alone(genotype, short, dataset, seed=config.seed)
    for _ in network.train(0):
        pass
    return accuracy(network, dataset.x_dev, dataset.y_dev)
