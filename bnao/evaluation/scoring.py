"""One-shot scores of any genotypes, and stored networks tested again: on request, apart from any search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from bnao.classification import Classification, binomial_error
from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import MachineConfig
from bnao.data.dataset import LabelledImages, scale_and_offset
from bnao.errors import DataError, GenotypeError
from bnao.events import Listener, phase
from bnao.network.trained import Trained
from bnao.protocols import Backend, Classifying, Scorer
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.strategies.plan import SCORED_AT_ONCE


@frozen
class OneShotScore:
    """One-shot score of a genotype.

    Attributes:
        genotype: the architecture.
        score: accuracy on the dev images, in [0, 1]; of a table its score.
        standard_error: of that accuracy, from the number of dev images; None where the score is no share.
        log_likelihood: mean log p(label) over the dev images; None if the supernet returns no logits.
        log_likelihood_error: its standard error.
    """

    genotype: Genotype
    score: float
    standard_error: float | None
    log_likelihood: float | None = None
    log_likelihood_error: float | None = None

    def by(self, kind: str) -> float:
        """Return the accuracy or the log-likelihood, by its name in ``SearchConfig.score``; NaN for one not known."""
        if kind == "accuracy":
            return self.score
        return math.nan if self.log_likelihood is None else self.log_likelihood

    def to_json(self) -> dict[str, Any]:
        """Return plain data; a value that is unknown or not finite is null."""
        values = {
            "score": self.score,
            "standard_error": self.standard_error,
            "log_likelihood": self.log_likelihood,
            "log_likelihood_standard_error": self.log_likelihood_error,
        }
        plain = {name: value if value is not None and math.isfinite(value) else None for name, value in values.items()}
        return {"genotype": str(self.genotype), "id": self.genotype.id, **plain}


def score_genotypes(
    genotypes: Sequence[Genotype], supernet: Scorer, *, listen: Listener = lambda event: None
) -> list[OneShotScore]:
    """Score genotypes of the supernet's space by its weights as they are, each on the same dev images.

    Args:
        genotypes: in any number; they need not have been trained.
        supernet: of a backend; with ``load_state(read_supernet(folder))`` (``bnao.strategies.journal``) that of a run.
            Where it classifies images (those of ``torch`` and ``keras``), accuracy and log-likelihood come from one
            forward pass; a table has scores alone.
        listen: is called with every event; ``bnao.events.EVENTS`` lists them.

    Returns:
        One entry a genotype, in the order given. Scores, or the log-likelihoods of a search that scores by these, are
        those of ``supernet.score``, to the bit.

    Raises:
        GenotypeError: one of another space, or one that a table lacks.

    >>> from bnao.backends.table import TableSupernet
    >>> from bnao.config.settings import NetworkConfig
    >>> from bnao.space.spaces import SPACES
    >>> from bnao.streams import stream
    >>> pool = SPACES["nao"].random_genotypes(2, stream(0, "example"))
    >>> table = TableSupernet(pool, scores=[0.25, 0.75], network=NetworkConfig())
    >>> [(entry.score, entry.log_likelihood) for entry in score_genotypes(pool, table)]
    [(0.25, None), (0.75, None)]
    """
    space = space_named(supernet.network.space, supernet.network.nodes)
    for index, genotype in enumerate(genotypes):
        try:
            space.check(genotype)
        except GenotypeError as error:
            raise GenotypeError(f"genotype {index}: {error}") from None
    listen({"event": "plan", "phases": [phase("score", loops={"scored": (1, len(genotypes))}, at_once=SCORED_AT_ONCE)]})
    scores: list[OneShotScore] = []
    while len(scores) < len(genotypes):
        scores += _scored(genotypes[len(scores) : len(scores) + SCORED_AT_ONCE], supernet)
        listen({"event": "score", "scored": len(scores), "of": len(genotypes)})
    return scores


def _scored(genotypes: Sequence[Genotype], supernet: Scorer) -> list[OneShotScore]:
    if isinstance(supernet, Classifying):
        return [
            OneShotScore(
                genotype, found.accuracy, found.standard_error, found.log_likelihood, found.log_likelihood_error
            )
            for genotype, found in zip(genotypes, supernet.classify(genotypes), strict=True)
        ]
    images = supernet.scored_images
    scores = supernet.score(genotypes).tolist()
    errors = [None if images is None else binomial_error(score, images) for score in scores]
    return [OneShotScore(*entry) for entry in zip(genotypes, scores, errors, strict=True)]


class _AsTrained:
    """Images that are normalised as those that a network was trained on."""

    def __init__(self, images: LabelledImages, trained: Trained) -> None:
        self._images = images
        mean, std = np.array(trained.mean), np.array(trained.std)
        self.mean, self.std = mean, std
        self._scale, self._offset = scale_and_offset(mean, std, trained.network.image)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._images, name)

    def normalised(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        result = np.multiply(images, self._scale, dtype=np.float32)
        result -= self._offset
        return result


def check_fits(trained: Trained, dataset: LabelledImages) -> None:
    """Check that a network takes these images and has their classes.

    Raises:
        DataError: images of another size or number of channels, or another number of classes.
    """
    wanted, given = trained.network.image, dataset.image
    if given[2] != wanted[2]:
        raise DataError(f"the images have {given[2]} channels; the network was trained on images of {wanted[2]}")
    if given != wanted:
        hint = f"; resize them with --image-size {wanted[0]}" if wanted[0] == wanted[1] else ""
        raise DataError(
            f"the images are {given[0]} x {given[1]} pixels; the network was trained on {wanted[0]} x {wanted[1]}{hint}"
        )
    if dataset.classes != trained.network.classes:
        raise DataError(
            f"the images are of {dataset.classes} classes; the network was trained on {trained.network.classes}"
        )


def classify_test_images(
    trained: Trained, backend: Backend, dataset: LabelledImages, machine: MachineConfig | None = None
) -> Classification:
    """Test a stored network on a data set's test part, normalised as the images it was trained on.

    Args:
        trained: see ``bnao.export.files.find_trained``.
        backend: computes it.
        dataset: other images than those of its training may be given.
        machine: device, number format and threads; its backend is not looked at.

    Raises:
        DataError: the images do not fit the network; see ``check_fits``.
        BackendError: the backend has no such network or device.
    """
    check_fits(trained, dataset)
    base = EvaluateConfig(network=trained.network, machine=MachineConfig() if machine is None else machine)
    # the auxiliary head is no part of a network that is tested
    config = evolve(base, training=evolve(base.training, auxiliary=0.0))
    images = cast(LabelledImages, _AsTrained(dataset, trained))
    network = backend.stand_alone(trained.genotype, config, images, seed=0)
    # a file may lack what the output does not depend on
    network.load_state({**network.state(), **trained.weights})
    batches = dataset.test_batches(config.training.batch_size)
    return Classification.of([(network.logits(some), labels) for some, labels in batches])
