"""Classification of labelled images by logits: error, log-likelihood and their standard errors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray

from bnao.errors import RankingError


def label_ranks(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rank of each image's label, shape (n,): 0 where its logit is the largest.

    Of equal logits the first class comes first.

    >>> label_ranks(np.array([[1, 3, 2], [5, 5, 5]], np.float32), np.array([2, 1])).tolist()
    [1, 1]
    """
    order = np.argsort(-logits, axis=1, kind="stable")
    ranks: NDArray[np.int64] = (order == np.asarray(labels)[:, None]).argmax(1)
    return ranks


def class_errors(wrong: NDArray[np.bool_], labels: NDArray[np.int64], classes: int) -> tuple[float | None, ...]:
    """Return the share of each class' images that are misclassified; None for a class without images.

    Args:
        wrong: whether each image is misclassified, shape (n,).
        labels: shape (n,), 0 .. classes - 1.
        classes: how many there are.

    >>> class_errors(np.array([True, False, False]), np.array([0, 0, 2]), classes=3)
    (0.5, None, 0.0)
    """
    images = np.bincount(labels, minlength=classes).tolist()
    misses = np.bincount(labels, weights=wrong, minlength=classes).tolist()
    return tuple(round(miss / n, 6) if n else None for miss, n in zip(misses, images, strict=True))


def log_likelihoods(logits: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """Return the natural logarithm of the probability that the softmax assigns to each label.

    Args:
        logits: shape (n, classes).
        labels: shape (n,), whole numbers 0 .. classes - 1.

    Returns:
        Shape (n,), float64, each <= 0; NaN where a logit is NaN.

    >>> log_likelihoods([[0, 0], [1000, 0]], [1, 1]).round(3).tolist()
    [-0.693, -1000.0]
    """
    values = np.asarray(logits, np.float64)
    shifted = values - values.max(1, keepdims=True)  # so that no exponential overflows
    chosen = np.take_along_axis(shifted, np.asarray(labels)[:, None], 1)[:, 0]
    logarithms: NDArray[np.float64] = chosen - np.log(np.exp(shifted).sum(1))
    return logarithms


@frozen(eq=False)
class Classification:
    """Classification of labelled images by a network, image by image.

    Attributes:
        classes: how many there are.
        labels: shape (n,).
        ranks: how many classes come before each image's label, shape (n,); see ``label_ranks``.
        log_likelihoods: log p(label) of each image, shape (n,).

    >>> found = Classification.of([([[2, 0], [0, 2], [2, 0], [2, 0]], [0, 1, 0, 1])])
    >>> found.error, round(found.standard_error, 3), found.class_accuracies()
    (0.25, 0.217, (1.0, 0.5))
    """

    classes: int
    labels: NDArray[np.int64]
    ranks: NDArray[np.int64]
    log_likelihoods: NDArray[np.float64]

    @classmethod
    def of(cls, batches: Sequence[tuple[ArrayLike, ArrayLike]]) -> Classification:
        """Return what the logits (b, classes) and the labels (b,) of some batches say together.

        Raises:
            RankingError: there is no image.
        """
        arrays = [(np.asarray(logits), np.asarray(labels, np.int64)) for logits, labels in batches]
        if not sum(len(labels) for _, labels in arrays):
            raise RankingError("no image was classified; there is no accuracy of none")
        return cls(
            arrays[0][0].shape[1],
            np.concatenate([labels for _, labels in arrays]),
            np.concatenate([label_ranks(logits, labels) for logits, labels in arrays]),
            np.concatenate([log_likelihoods(logits, labels) for logits, labels in arrays]),
        )

    @property
    def images(self) -> int:
        """The number of images (n)."""
        return len(self.labels)

    @property
    def accuracy(self) -> float:
        """Share of images whose largest logit is their label's, in [0, 1]."""
        return float((self.ranks == 0).mean())

    @property
    def error(self) -> float:
        """Share of images that are misclassified, in [0, 1]."""
        return 1 - self.accuracy

    @property
    def standard_error(self) -> float:
        """Standard error of accuracy and error: sqrt(p (1 - p) / n)."""
        return binomial_error(self.accuracy, self.images)

    def top_error(self, k: int) -> float:
        """Return the share of images whose label is not among the k largest logits, in [0, 1]."""
        return 1 - float((self.ranks < k).mean())

    @property
    def log_likelihood(self) -> float:
        """Mean log p(label), <= 0; the negative of the cross-entropy."""
        return float(self.log_likelihoods.mean())

    @property
    def log_likelihood_error(self) -> float:
        """Standard error of ``log_likelihood``; NaN for a single image."""
        if self.images < 2:
            return math.nan
        return float(self.log_likelihoods.std(ddof=1)) / math.sqrt(self.images)

    def score(self, kind: str) -> float:
        """Return the accuracy or the mean log-likelihood, by its name in settings.

        >>> Classification.of([([[0, 0], [0, 0]], [0, 1])]).score("accuracy")
        0.5
        """
        return {"accuracy": self.accuracy, "log-likelihood": self.log_likelihood}[kind]

    def class_images(self) -> tuple[int, ...]:
        """Return the number of images of each class."""
        return tuple(np.bincount(self.labels, minlength=self.classes).tolist())

    def class_accuracies(self) -> tuple[float, ...]:
        """Return each class's share of rightly classified images; NaN for a class that has none."""
        right = np.bincount(self.labels[self.ranks == 0], minlength=self.classes).tolist()
        return tuple(
            found / images if images else math.nan for found, images in zip(right, self.class_images(), strict=True)
        )


def binomial_error(share: float, n: int) -> float:
    """Return the standard error of a share that n independent trials gave.

    >>> binomial_error(0.5, 100)
    0.05
    """
    return math.sqrt(share * (1 - share) / n)
