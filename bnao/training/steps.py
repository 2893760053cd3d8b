"""What each step of a training is given, in every backend: batch, labels, learning rate and masks.

All of it is a function of the settings, the seed and the step, so two backends that are given one seed train on the
same images with the same paths dropped, and a training that was stopped goes on with the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TypeVar

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.data.dataset import Dataset, LabelledImages, epoch_batches, train_batch
from bnao.errors import DivergedError
from bnao.network.mobile import Trainable
from bnao.space.genotype import Genotype
from bnao.training.schedules import dropout_mask, path_masks, stand_alone_rate, supernet_rate, undropped_edges

_Number = TypeVar("_Number", bound=np.generic)

# dev images scored in one batch: the batch's own statistics normalise it, so all genotypes share the batches
_SCORED_AT_ONCE = 500


@frozen(eq=False)
class SupernetStep:
    """One step of a supernet's training.

    Attributes:
        step: 0-based, within the round.
        index, genotype: whose path is trained, and its place in the pool.
        rate: learning rate.
        images: normalised and augmented, shape (b, height, width, channels).
        labels: shape (b,).
        masks: of drop path, shape (cells, nodes, edges, b); None: nothing is dropped.
    """

    step: int
    index: int
    genotype: Genotype
    rate: float
    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    masks: NDArray[np.float32] | None


def supernet_steps(
    config: SearchConfig,
    dataset: Dataset,
    network: NetworkConfig,
    pool: Sequence[Genotype],
    drawn: NDArray[np.int64],
    round_index: int,
    start: int,
    rows: Callable[[int, int], slice] = lambda place, batch: slice(0, batch),
) -> Iterator[SupernetStep]:
    """Yield the steps of a round, from ``start`` on; of each, one after the other, all its paths.

    The learning rate's cosine and drop path's progress span the round and restart with the next one, as in the
    authors' runs, unless ``config.training.span`` is the search; the cosine may restart after a split too. Batches and
    the masks' draws go on over all rounds.

    Args:
        drawn: shape (steps x paths,), ``config.ranks`` saying how many paths a step has.
        rows: which rows of a batch this process needs, by the path's place in its step and the batch's images; the
            other images are left unmade (0).
    """
    training, paths = config.training, config.ranks.paths_a_step
    steps = len(drawn) // paths
    spans_all = training.span == "search"
    batch = min(training.batch_size, len(dataset.y_train))
    for step in range(start, steps):
        rate = supernet_rate(training, step, steps, round_index, config.rounds)
        progress = (round_index * steps + step, config.rounds * steps) if spans_all else (step, steps)
        for number in range(paths):
            whole = (round_index * steps + step) * paths + number
            index = int(drawn[step * paths + number])
            wanted = rows(number, batch)
            images, labels = train_batch(dataset, whole, batch, config.seed, config.data, wanted)
            keep = training.drop_path_keep if wanted.start < wanted.stop else 1.0
            place, places = progress
            masks = path_masks(network, config.seed, whole, keep, len(labels), place=place, places=places)
            yield SupernetStep(step, index, pool[index], rate, images, labels, masks)


@frozen(eq=False)
class StandAloneStep:
    """One step of a stand-alone training.

    Attributes:
        step: 0-based, over the whole training.
        place: where that is, for people: epoch and step.
        rate: learning rate.
        images: normalised and augmented, shape (b, height, width, channels).
        labels: shape (b,).
        masks: of drop path, shape (cells, nodes, edges, b); None: nothing is dropped.
        dropout: what the features in front of the classifier are multiplied by, shape (b, features); None likewise.
    """

    step: int
    place: str
    rate: float
    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    masks: NDArray[np.float32] | None
    dropout: NDArray[np.float32] | None


def stand_alone_epoch_steps(config: EvaluateConfig, dataset: LabelledImages) -> int:
    """Steps of an epoch of a stand-alone training."""
    return epoch_batches(dataset.n_train, config.training.batch_size)


def stand_alone_steps(
    genotype: Trainable,
    config: EvaluateConfig,
    dataset: LabelledImages,
    network: NetworkConfig,
    features: int,
    seed: int,
    start: int,
) -> Iterator[StandAloneStep]:
    """Yield the steps of a stand-alone training, from ``start`` on.

    Args:
        genotype: whose network it is; drop path leaves its identities alone. A network for comparison has no edges.
        config: the training.
        dataset: its train part is used.
        network: the network's settings, with the data's classes and image.
        features: inputs of the classifier.
        seed: decides batches, augmentation and masks.
        start: the first step, 0-based over the whole training.
    """
    training = config.training
    batch = min(training.batch_size, dataset.n_train)
    epoch_steps = stand_alone_epoch_steps(config, dataset)
    steps = range(start, epoch_steps * config.epochs)
    has_edges = isinstance(genotype, Genotype)
    undropped = undropped_edges(genotype, network) if isinstance(genotype, Genotype) else None
    growing = epoch_steps * (training.drop_path_epochs or config.epochs)
    with closing(dataset.train_batches(steps, batch, seed, config.data)) as batches:
        for step, (images, labels) in zip(steps, batches, strict=True):
            rate = stand_alone_rate(training, step, epoch_steps, config.epochs)
            keep = training.drop_path_keep if has_edges else 1.0
            masks = path_masks(
                network, seed, step, keep, len(labels), place=step, places=growing, depth=training.drop_path_depth
            )
            if masks is not None:
                masks[undropped] = 1
            dropout = None
            if training.dropout_keep < 1:
                dropout = dropout_mask(seed, step, training.dropout_keep, (len(labels), features))
            place = f"epoch {step // epoch_steps + 1}, step {step % epoch_steps + 1}"
            yield StandAloneStep(step, place, rate, images, labels, masks, dropout)


def check_loss(loss: float, place: str, rate: float, genotype: object) -> None:
    """Raise DivergedError if the loss is not finite; place says where, such as "round 1, step 7"."""
    if not math.isfinite(loss):
        raise DivergedError(
            f"the loss is {loss} at {place}, learning rate {rate:.4g}, genotype {genotype}; "
            f"try a lower --learning-rate or a --gradient-norm"
        )


def scored_batches(array: NDArray[_Number]) -> list[NDArray[_Number]]:
    """Images or labels to score on in nearly equal parts: none so small that its own statistics mean little.

    >>> [len(part) for part in scored_batches(np.zeros(1100))]
    [550, 550]
    """
    return np.array_split(array, max(1, round(len(array) / _SCORED_AT_ONCE)))
