"""What a training step needs and no framework decides: learning rates, and the masks of drop path and dropout.

Described in docs/training.md. All masks are NumPy arrays from ``bnao.streams``, so every backend drops the same paths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bnao.config.evaluation import StandAloneTrainingConfig
from bnao.config.settings import NetworkConfig, TrainingConfig
from bnao.config.training import Split
from bnao.network.stack import stack
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.streams import stream


def cosine(step: int, steps: int, top: float, end: float) -> float:
    """Return the learning rate at a step of a cosine that starts at the top and would reach the end at ``steps``.

    >>> cosine(0, 10, top=0.025, end=0.001), round(cosine(5, 10, top=0.025, end=0.001), 4)
    (0.025, 0.013)
    """
    return end + (top - end) * (1 + math.cos(math.pi * step / steps)) / 2


def exponential(epoch: int, top: float, decay: float) -> float:
    """Return the learning rate of an epoch that is multiplied by the decay after each.

    >>> exponential(0, top=0.1, decay=0.97), round(exponential(2, top=0.1, decay=0.97), 5)
    (0.1, 0.09409)
    """
    return top * decay**epoch


def stand_alone_rate(config: StandAloneTrainingConfig, step: int, epoch_steps: int, epochs: int) -> float:
    """Return the learning rate at a step of a stand-alone training, by the schedule the settings name."""
    if config.schedule == "exponential":
        return exponential(step // epoch_steps, config.learning_rate, config.decay)
    if config.schedule == "restarts":
        begin, length = period_of(step, config.period * epoch_steps, config.period_factor)
        return cosine(step - begin, length, config.learning_rate, config.learning_rate_end)
    return cosine(step, epoch_steps * epochs, config.learning_rate, config.learning_rate_end)


def period_of(step: int, first: int, factor: int) -> tuple[int, int]:
    """Return the first step and the length of the period that a step lies in.

    Source: *SGDR*, Loshchilov and Hutter, arXiv 1608.03983, T_0 = ``first`` and T_mult = ``factor``.

    >>> [period_of(step, first=10, factor=2) for step in (9, 10, 29, 30)]
    [(0, 10), (10, 20), (10, 20), (30, 40)]
    """
    begin, length = 0, first
    while step >= begin + length:
        begin, length = begin + length, length * factor
    return begin, length


def split_steps(splits: Sequence[Split], total: int) -> list[int]:
    """Return the steps before which a training of ``total`` steps splits its weights; no split is the first step.

    >>> split_steps([Split(0.25, "node"), Split(0.5, "edge")], total=10)
    [2, 5]
    """
    return [max(1, round(split.share * total)) for split in splits]


def splits_before(step: int, total: int, splits: Sequence[Split]) -> Sequence[Split]:
    """Return the splits that have been made when this step is trained.

    >>> len(splits_before(4, 10, [Split(0.5, "edge")])), len(splits_before(5, 10, [Split(0.5, "edge")]))
    (0, 1)
    """
    return splits[: sum(at <= step for at in split_steps(splits, total))]


def supernet_rate(training: TrainingConfig, step: int, steps: int, round_index: int, rounds: int) -> float:
    """Return the learning rate at a step of a round: a cosine over the round, or one for each stretch between splits.

    Args:
        training: rates and splits.
        step: 0-based, within the round, which has ``steps`` of them.
        round_index: 0-based; there are ``rounds`` of them. With ``training.span`` search the cosine is over all.

    >>> training = TrainingConfig(split_at="0.5:edge", learning_rate=0.1, learning_rate_end=0)
    >>> [round(supernet_rate(training, step, steps=4, round_index=0, rounds=1), 3) for step in range(4)]
    [0.1, 0.05, 0.1, 0.05]
    """
    if training.span == "search":
        return cosine(round_index * steps + step, rounds * steps, training.learning_rate, training.learning_rate_end)
    begin, end = 0, steps
    if training.split_rate == "restart":
        marks = [at - round_index * steps for at in split_steps(training.split_at, rounds * steps)]
        begin = max((mark for mark in marks if 0 < mark <= step), default=0)
        end = min((mark for mark in marks if step < mark < steps), default=steps)
    return cosine(step - begin, end - begin, training.learning_rate, training.learning_rate_end)


def keep_probabilities(cells: int, step: int, steps: int, keep: float, depth: str = "linear") -> NDArray[np.float64]:
    """The chance that a cell keeps an edge's output, shape (cells,): it falls with depth and with progress.

    For a cell at depth d of D at progress t of T: 1 - (d + 1) / D x (t + 1) / T x (1 - keep). With ``depth`` constant
    every cell has that of the last.

    >>> keep_probabilities(2, step=9, steps=10, keep=0.9).tolist()
    [0.95, 0.9]
    >>> keep_probabilities(2, step=9, steps=10, keep=0.9, depth="constant").tolist()
    [0.9, 0.9]
    """
    reached = np.ones(cells) if depth == "constant" else np.arange(1, cells + 1) / cells
    return 1 - reached * ((step + 1) / steps) * (1 - keep)


def drop_path_masks(
    seed: int, step: int, keep: NDArray[np.float64], nodes: int, edges: int, batch: int
) -> NDArray[np.float32]:
    """Return the factor of each edge's output for each image: 0, or 1 / keep.

    Args:
        seed, step: decide the masks; step counts over the whole training.
        keep: shape (cells,), from ``keep_probabilities``.

    Returns:
        Shape (cells, nodes, edges, batch), mean 1.

    >>> masks = drop_path_masks(0, 7, np.array([0.5]), nodes=5, edges=2, batch=64)
    >>> masks.shape, sorted(set(masks.ravel().tolist()))
    ((1, 5, 2, 64), [0.0, 2.0])
    """
    shape = (len(keep), nodes, edges, batch)
    kept = stream(seed, "drop path", step).random(shape, dtype=np.float32) < keep[:, None, None, None]
    return (kept / keep[:, None, None, None]).astype(np.float32)


def path_masks(
    network: NetworkConfig,
    seed: int,
    step: int,
    keep: float,
    batch: int,
    *,
    place: int,
    places: int,
    depth: str = "linear",
) -> NDArray[np.float32] | None:
    """Return the drop-path masks of a step, as ``drop_path_masks`` makes them; None where all is kept.

    Args:
        network: its space and stack.
        seed, step: decide the masks; step counts over the whole training.
        keep: the chance to keep an edge at full depth and progress.
        batch: images of the step.
        place, places: progress, the t of T of ``keep_probabilities``; from the last place on it is full.
        depth: as there.

    >>> path_masks(NetworkConfig(cells=1), seed=0, step=0, keep=1.0, batch=2, place=0, places=9) is None
    True
    """
    if keep == 1:
        return None
    space = space_named(network.space, network.nodes)
    kept = keep_probabilities(len(stack(network)), min(place, places - 1), places, keep, depth)
    return drop_path_masks(seed, step, kept, space.nodes, space.edges, batch)


def undropped_edges(genotype: Genotype, network: NetworkConfig) -> NDArray[np.bool_]:
    """Return which edges drop path leaves alone in a genotype's own network: its identities.

    So in the authors' networks; a strided identity that begins with a ReLU (DARTS) is dropped like any operation.
    The supernet drops every edge.

    Returns:
        Shape (cells, nodes, edges).

    >>> from bnao.space.notation.notations import parse
    >>> undropped_edges(parse("NAONet-V2"), NetworkConfig(cells=1))[0].astype(int).tolist()
    [[0, 0], [0, 1], [0, 0], [0, 0], [0, 0]]
    """
    space = space_named(network.space, network.nodes)
    positions = stack(network)
    undropped = np.zeros((len(positions), space.nodes, space.edges), dtype=bool)
    for position in positions:
        cell = genotype.cell(position.reduction)
        for index, node in enumerate(cell.nodes):
            for number, edge in enumerate(node.edges):
                strided = position.reduction and edge.source < cell.inputs
                dropped = edge.operation != "skip_connect" or (strided and space.rules.relu_before_reduce)
                undropped[position.index, index, number] = not dropped
    return undropped


def dropout_mask(seed: int, step: int, keep: float, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the factor of each feature before the classifier: 0, or 1 / keep."""
    kept = stream(seed, "dropout", step).random(shape, dtype=np.float32) < keep
    return (kept / keep).astype(np.float32)
