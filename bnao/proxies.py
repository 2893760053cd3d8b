"""Zero-cost scores: what untrained networks tell of genotypes, and what each costs (size, multiply-adds).

Sources: Mellor et al., *Neural Architecture Search without Training*, arXiv 2006.04647, v1 (jacob_cov) and v3 (naswot);
Tanaka et al., *SynFlow*, arXiv 2006.05467; Lee et al., *SNIP*, arXiv 1810.02340; Abdelfattah et al., *Zero-Cost Proxies
for Lightweight NAS*, arXiv 2101.08134, which made scores of networks of the last two, and grad-norm.

A backend computes gradients and ReLU codes alone (``bnao.protocols.Probe``); what is made of them is here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike, NDArray

from bnao.config.studies import ProxiesConfig
from bnao.data.dataset import Dataset
from bnao.errors import BackendError, ConfigError
from bnao.events import phase
from bnao.network.size import count_multiply_adds, count_parameters
from bnao.protocols import Backend, Listener, Probe, Probing
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.streams import stream

# keeps logarithm and reciprocal of an eigenvalue finite; the authors' value
_EPSILON = 1e-5


def jacob_cov(jacobian: ArrayLike) -> float:
    """How differently a network reacts to different images: -sum(log(v + e) + 1 / (v + e)), e = 1e-5.

    Source: arXiv 2006.04647v1. The v are the eigenvalues of the correlations between the images' gradients; they sum to
    the number of images, and the score is largest, - n, where no two are correlated.

    Args:
        jacobian: shape (n, values), n >= 2: the gradient of the summed logits by each image.

    Returns:
        The score; NaN where an image's gradient is constant, such as 0 where a cell passes nothing on.

    >>> round(jacob_cov([[1, -1, 0], [1, 1, -2]]), 3), round(jacob_cov([[1, -1, 0], [1, 0, -1]]), 3)  # v 1, 1; 1.5, 0.5
    (-2.0, -2.379)
    >>> jacob_cov([[0, 0], [0, 0]])
    nan
    """
    rows = np.asarray(jacobian, dtype=np.float64)
    away = rows - rows.mean(1, keepdims=True)
    norms = np.sqrt((away * away).sum(1, keepdims=True))
    if not (np.isfinite(norms).all() and (norms > 0).all()):
        return math.nan
    away /= norms
    eigenvalues = np.maximum(np.linalg.eigvalsh(away @ away.T), 0) + _EPSILON
    return -float((np.log(eigenvalues) + 1 / eigenvalues).sum())


def naswot(agreements: ArrayLike) -> float:
    """How well ReLUs tell images apart: log |det K|, K the number of ReLUs that two images have in the same state.

    Source: arXiv 2006.04647v3.

    Args:
        agreements: shape (n, n): K.

    Returns:
        The score; NaN where K is singular, such as where two images have all ReLUs alike.

    >>> round(math.exp(naswot([[2, 1], [1, 2]])), 6)
    3.0
    >>> naswot([[2, 2], [2, 2]])
    nan
    """
    _, logarithm = np.linalg.slogdet(np.asarray(agreements, dtype=np.float64))
    return float(logarithm) if math.isfinite(logarithm) else math.nan


def saliency(weights: Mapping[str, ArrayLike], gradients: Mapping[str, ArrayLike]) -> float:
    """The sum of |weight x gradient| over all weights: snip of the loss, synflow of the flow through the network.

    Sources: arXiv 1810.02340, Eq. 5, and 2006.05467, Eq. 1.

    >>> saliency({"kernel": [1.0, -2.0]}, {"kernel": [3.0, 0.5]})
    4.0
    """
    return math.fsum(
        float(np.abs(np.asarray(weights[name], np.float64) * np.asarray(gradient, np.float64)).sum())
        for name, gradient in gradients.items()
    )


def gradient_norm(gradients: Mapping[str, ArrayLike]) -> float:
    """The sum over layers of the Euclidean norm of the loss's gradient.

    Source: arXiv 2101.08134, Sec. 3.

    >>> gradient_norm({"one": [3.0, 4.0], "two": [2.0]})
    7.0
    """
    return math.fsum(float(np.linalg.norm(np.asarray(each, np.float64).ravel())) for each in gradients.values())


class _Probed:
    """What one untrained network tells of one batch, each asked for once."""

    def __init__(self, probe: Probe, images: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        self.probe, self.images, self.labels = probe, images, labels

    @cached_property
    def kernels(self) -> Mapping[str, NDArray[Any]]:
        return self.probe.kernels()

    @cached_property
    def loss_gradients(self) -> Mapping[str, NDArray[Any]]:
        return self.probe.loss_gradients(self.images, self.labels)


@frozen
class Proxy:
    """A zero-cost score.

    Attributes:
        meaning: what it is, in a few words.
        of: the score of a network and a batch; NaN where it is not defined.
        undefined: when that is.
    """

    meaning: str
    of: Callable[[_Probed], float] = field(repr=False)
    undefined: str = "a value is not finite"


#: every zero-cost score by name; the names are those of ``bnao.config.proxies.PROXIES``
PROXIES: Mapping[str, Proxy] = {
    "jacob_cov": Proxy(
        "how differently the logits react to different images",
        lambda probed: jacob_cov(probed.probe.jacobian(probed.images)),
        "an image does not change the logits, as where no path leads through the cells",
    ),
    "naswot": Proxy(
        "how well the states of all ReLUs tell images apart",
        lambda probed: naswot(probed.probe.agreements(probed.images)),
        "two images have all ReLUs in the same state, as where no path leads through the cells",
    ),
    "synflow": Proxy(
        "sum of |weight x gradient| of the flow through a positive, linear network",
        lambda probed: saliency(probed.kernels, probed.probe.flow_gradients()),
    ),
    "snip": Proxy(
        "sum of |weight x gradient| of the loss",
        lambda probed: saliency(probed.kernels, probed.loss_gradients),
    ),
    "grad-norm": Proxy(
        "sum over layers of the norm of the loss's gradient",
        lambda probed: gradient_norm(probed.loss_gradients),
    ),
}


@frozen
class ZeroCostScores:
    """What is known of a genotype without training it.

    Attributes:
        genotype: the architecture.
        size: parameters of its network that carry something of the image to the classifier ("live").
        multiply_adds: of those, for one image.
        values: by proxy, one score for each repeat; NaN where it is not defined.

    >>> scores = ZeroCostScores(Genotype.parse("0:skip_connect", output="last node"), 100, 900, {"naswot": (1.0, 3.0)})
    >>> scores.mean("naswot"), scores.standard_error("naswot")
    (2.0, 1.0)
    """

    genotype: Genotype
    size: int
    multiply_adds: int
    values: Mapping[str, tuple[float, ...]] = field(hash=False)

    def mean(self, proxy: str) -> float:
        """The mean over the repeats in which it is defined; NaN where there is none."""
        defined = self._defined(proxy)
        return math.fsum(defined) / len(defined) if defined else math.nan

    def standard_error(self, proxy: str) -> float:
        """Of that mean, from the spread over the repeats; NaN for fewer than two."""
        defined = self._defined(proxy)
        return float(np.std(defined, ddof=1)) / math.sqrt(len(defined)) if len(defined) > 1 else math.nan

    def _defined(self, proxy: str) -> list[float]:
        return [value for value in self.values[proxy] if not math.isnan(value)]

    def to_json(self) -> dict[str, Any]:
        """Plain data; what is not defined is null."""
        return {
            "genotype": str(self.genotype),
            "id": self.genotype.id,
            "live_parameters": self.size,
            "live_multiply_adds": self.multiply_adds,
            "proxies": {
                name: {
                    "mean": _plain(self.mean(name)),
                    "standard_error": _plain(self.standard_error(name)),
                    "values": [_plain(value) for value in values],
                }
                for name, values in self.values.items()
            },
        }


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def zero_cost_scores(
    genotypes: Sequence[Genotype],
    config: ProxiesConfig,
    backend: Backend,
    dataset: Dataset,
    *,
    listen: Listener = lambda event: None,
) -> list[ZeroCostScores]:
    """Score genotypes without training them, each on the same images.

    Args:
        genotypes: of the space of ``config.network``.
        config: which scores, the network, the images of a batch, the seed and the repeats.
        backend: computes gradients and ReLU codes; ``torch`` and ``keras`` do.
        dataset: the batches are of its train part, without augmentation.
        listen: is called with every event; ``bnao.events.EVENTS`` lists them.

    Returns:
        One entry a genotype, in the order given. A function of the seed: repeat r has the first weights and the images
        of seed + r.

    Raises:
        GenotypeError: one of another space.
        ConfigError: a batch is larger than the train part.
        BackendError: the backend cannot probe untrained networks.

    >>> from bnao.backends import load
    >>> from bnao.space.spaces import SPACES
    >>> blank = np.zeros((8, 8, 8, 1), np.uint8), np.zeros(8, np.int64)
    >>> zero_cost_scores([], ProxiesConfig(), load("table"), Dataset("blank", *blank, *blank, *blank, ("a", "b")))
    Traceback (most recent call last):
        ...
    bnao.errors.BackendError: backend 'table' cannot probe untrained networks; torch and keras can
    """
    if not isinstance(backend, Probing):
        raise BackendError(f"backend {backend.name!r} cannot probe untrained networks; torch and keras can")
    network = dataset.network(config.network)
    space = space_named(network.space, network.nodes)
    for genotype in genotypes:
        space.check(genotype)
    if config.batch > dataset.n_train:
        raise ConfigError(f"batch is {config.batch}, and the train part has {dataset.n_train} images; give fewer")
    seeds = range(config.seed, config.seed + config.repeats)
    batches = {seed: _batch(dataset, config.batch, seed) for seed in seeds}
    sizes = count_parameters(genotypes, network, live=True).tolist()
    products = count_multiply_adds(genotypes, network, live=True).tolist()
    scored = []
    listen({"event": "plan", "phases": [phase("probed", loops={"genotype": (1, len(genotypes))})]})
    for index, genotype in enumerate(genotypes):
        values: dict[str, list[float]] = {name: [] for name in config.proxies}
        for seed in seeds:
            probed = _Probed(backend.probe(genotype, network, config.machine, seed=seed), *batches[seed])
            for name, row in values.items():
                value = PROXIES[name].of(probed)
                row.append(value if math.isfinite(value) else math.nan)
        scored.append(
            ZeroCostScores(genotype, sizes[index], products[index], {name: tuple(row) for name, row in values.items()})
        )
        listen({"event": "probed", "genotype": index + 1, "of": len(genotypes)})
    return scored


def _batch(dataset: Dataset, n: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Images as networks take them, and their labels."""
    places = np.sort(stream(seed, "proxies").choice(dataset.n_train, n, replace=False))
    return dataset.normalised(dataset.x_train[places]), dataset.y_train[places]


def undefined_lines(scored: Sequence[ZeroCostScores]) -> list[str]:
    """One line for each score that is not defined for some genotype: how many, the first, and why.

    >>> entry = ZeroCostScores(Genotype.parse("0:none", output="last node"), 100, 900, {"grad-norm": (math.nan,)})
    >>> undefined_lines([entry])
    ['grad-norm is not defined for 1 of 1 genotypes, the first is number 1: a value is not finite']
    """
    lines = []
    for name in scored[0].values if scored else ():
        missing = [number for number, entry in enumerate(scored, start=1) if math.isnan(entry.mean(name))]
        if missing:
            lines.append(
                f"{name} is not defined for {len(missing)} of {len(scored)} genotypes, the first is number "
                f"{missing[0]}: {PROXIES[name].undefined}"
            )
    return lines
