"""Latency of genotypes' own networks by a linear model of their operations, fitted on measurements.

A network's latency is taken to be a base plus a non-negative time for each of its edges, which depends on the edge's
operation, its kind of cell and its stride. How far that holds is measured on genotypes the model was not fitted on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike, NDArray

from bnao.config.settings import NetworkConfig
from bnao.errors import ConfigError, RunError
from bnao.metrics import defined, kendall_tau
from bnao.run import Folder, made_of, number, read_json, round_off, understanding
from bnao.space.genotype import Genotype
from bnao.space.liveness import NONE, flow
from bnao.space.spaces import SearchSpace, parse_in, space_named
from bnao.streams import stream

Floats = NDArray[np.float64]

#: what stands in the file that says what it is
KIND = "latency model"
#: the name of the time that every network takes
BASE = "base"
#: parts of the measured genotypes, each predicted by a model of the others
FOLDS = 5
#: of fewer measured genotypes no error would be known
LEAST_MEASURED = 10

# of a latency in milliseconds: below what a clock tells, and above how sums differ by their order
_DIGITS = 9


@frozen
class MeasuredLatency:
    """The latency of one genotype's network, as measured.

    Attributes:
        genotype: the architecture.
        milliseconds: median over the repetitions of one forward pass of a batch.
        spread: their interquartile range as a share of the median.
    """

    genotype: Genotype
    milliseconds: float
    spread: float

    @classmethod
    def of(cls, genotype: Genotype, seconds: ArrayLike) -> MeasuredLatency:
        """Return what some repetitions say, shape (n,), in seconds.

        >>> from bnao.space.genotype import Genotype
        >>> MeasuredLatency.of(Genotype.parse("0:skip_connect", output="last node"), [0.002, 0.001, 0.003]).milliseconds
        2.0
        """
        low, middle, high = np.quantile(1e3 * np.asarray(seconds, np.float64), [0.25, 0.5, 0.75]).tolist()
        return cls(genotype, round_off(middle), round_off((high - low) / middle))

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {"genotype": str(self.genotype), "milliseconds": self.milliseconds, "spread": self.spread}


@frozen(eq=False)
class LatencyModel:
    """A linear model of the latency of a space's networks at one width, depth and image.

    Attributes:
        network: what was measured; its channels, cells and image need not be those of a search's supernet.
        conditions: what the measurements were made with: runtime, device, threads, batch, versions.
        milliseconds: of a network as such (``base``), and more for each edge of an operation, by name; none below 0.
        error: mean absolute percentage error, as a share, on genotypes that the model was not fitted on.
        kendall_tau: of predicted and measured latencies of these; None where it is not defined.
        measured: what it was fitted on.
    """

    network: NetworkConfig
    conditions: Mapping[str, Any]
    milliseconds: Mapping[str, float]
    error: float
    kendall_tau: float | None
    measured: tuple[MeasuredLatency, ...] = field(repr=False)

    @property
    def space(self) -> SearchSpace:
        """The space of its genotypes."""
        return space_named(self.network.space, self.network.nodes)

    def predict(self, genotypes: Sequence[Genotype]) -> Floats:
        """Return the latency of each genotype's network in milliseconds, shape (n,).

        Raises:
            GenotypeError: one of another space.
        """
        names = term_names(self.space)
        each = np.array([self.milliseconds[name] for name in names])
        # a product of matrices may round differently in other company
        predicted: Floats = np.round((counts(genotypes, self.space) * each).sum(1), _DIGITS)
        return predicted

    def check_space(self, network: NetworkConfig, where: str) -> None:
        """Refuse the genotypes of another space.

        Raises:
            ConfigError: the model is of another space, or of another number of nodes.
        """
        own, other = self.space, space_named(network.space, network.nodes)
        if (own.name, own.nodes) != (other.name, other.nodes):
            raise ConfigError(
                f"{where} is a latency model of space {own.name} with {own.nodes} nodes, and the search is in "
                f"{other.name} with {other.nodes}; make one with bnao latency --space {other.name}"
            )

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as in the file."""
        return {
            "kind": KIND,
            "network": attrs.asdict(self.network),
            "conditions": dict(self.conditions),
            "error": self.error,
            "kendall_tau": self.kendall_tau,
            "folds": FOLDS,
            "milliseconds": dict(self.milliseconds),
            "measured": [each.to_json() for each in self.measured],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> LatencyModel:
        """Return what ``to_json`` was made from.

        Raises:
            ConfigError: its network is none.
            ValueError, TypeError, LookupError: it is something else.
        """
        if content["kind"] != KIND:
            raise ValueError(content["kind"])
        network = NetworkConfig(**content["network"])
        times = {
            name: number(content["milliseconds"][name])
            for name in term_names(space_named(network.space, network.nodes))
        }
        if not all(math.isfinite(each) and each >= 0 for each in times.values()):
            raise ValueError("a time below 0")
        measured = tuple(
            made_of(MeasuredLatency, {**each, "genotype": parse_in(network.space, each["genotype"])})
            for each in content["measured"]
        )
        tau = content["kendall_tau"]
        return cls(
            network, dict(content["conditions"]), times, number(content["error"]),
            None if tau is None else number(tau), measured,
        )  # fmt: skip

    def save(self, path: str | Path) -> None:
        """Write the model's file, whole or not at all.

        Raises:
            WriteError: it cannot be written.
        """
        Folder(Path(path).parent).write_json(Path(path).name, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> LatencyModel:
        """Read a model's file.

        Raises:
            RunError: there is none, it is damaged, or is not one that bnao wrote.
        """
        content = read_json(path)
        if content.get("kind") != KIND:
            raise RunError(f"{path} is not a latency model; bnao latency -o {Path(path).name} makes one")
        with understanding(Path(path)):
            return cls.from_json(content)


def term_names(space: SearchSpace) -> list[str]:
    """Return the names of what a network of this space is counted in: the base, operations, and outputs of cells.

    >>> from bnao.space.spaces import SPACES
    >>> term_names(SPACES["nas-bench-201"])
    ['base', 'skip_connect', 'nor_conv_1x1', 'nor_conv_3x3', 'avg_pool_3x3']
    >>> [name for name in term_names(SPACES["nao"]) if "skip" in name or "outputs" in name][:3]
    ['normal skip_connect', 'normal outputs', 'reduction skip_connect']
    """
    operations = [name for name in space.operations if name != NONE]
    if space.cells == 1:
        return [BASE, *operations]
    outputs = ["outputs"] if space.rules.mixes else []
    return [
        BASE,
        *(f"normal {name}" for name in [*operations, *outputs]),
        *(f"reduction {name}" for name in [*operations, *(f"{name} at stride 2" for name in operations), *outputs]),
    ]


def counts(genotypes: Sequence[Genotype], space: SearchSpace) -> Floats:
    """Return how often each genotype has what ``term_names`` lists, shape (n, terms); the base once.

    Of an edge that does not reach the output nothing is counted: it need not be computed.

    Raises:
        GenotypeError: a genotype of another space.

    >>> from bnao.space.spaces import SPACES
    >>> from bnao.space.genotype import Genotype
    >>> cell = "0:none;0:nor_conv_3x3+1:nor_conv_1x1;0:skip_connect+1:none+2:none"
    >>> counts([Genotype.parse(cell, output="last node")], SPACES["nas-bench-201"]).tolist()
    [[1.0, 1.0, 0.0, 0.0, 0.0]]
    """
    rows = space.encode(genotypes)
    columns = [np.ones((len(rows), 1))]
    passing = [number for number, name in enumerate(space.operations) if name != NONE]
    for kind in range(space.cells):
        cells = flow(rows[:, kind], space)
        computed = cells.passes & cells.reaching[:, [space.inputs + node for node, _ in space.places]]
        strided = (cells.sources < space.inputs) if kind else np.zeros_like(computed)
        for at_stride in (False, True)[: kind + 1]:
            own = computed & (strided == at_stride)
            columns += [(own & (cells.operations == each)).sum(1)[:, None] for each in passing]
        if space.cells > 1 and space.rules.mixes:
            columns.append(cells.outputs.sum(1)[:, None])
    return np.concatenate(columns, axis=1, dtype=np.float64)


def fit_latency(
    measured: Sequence[MeasuredLatency], network: NetworkConfig, conditions: Mapping[str, Any], *, seed: int = 0
) -> LatencyModel:
    """Fit the model to measurements: least squares of relative errors, no time below 0.

    Args:
        measured: of at least ten genotypes, all of the network's space.
        network: what was measured.
        conditions: with what.
        seed: decides which of them are predicted together by a model of the others, by which the error is known.

    Raises:
        ConfigError: fewer than ten.
        GenotypeError: one of another space.
    """
    if len(measured) < LEAST_MEASURED:
        raise ConfigError(f"{len(measured)} measured genotypes; a latency model needs at least {LEAST_MEASURED}")
    space = space_named(network.space, network.nodes)
    rows = counts([each.genotype for each in measured], space)
    times = np.array([each.milliseconds for each in measured])
    predicted = np.empty(len(rows))
    folds = stream(seed, "latency folds").permutation(len(rows)) % FOLDS
    for fold in range(FOLDS):
        held_out = folds == fold
        predicted[held_out] = rows[held_out] @ _relative_fit(rows[~held_out], times[~held_out])
    predicted = np.round(predicted, _DIGITS)  # so that equal counts are ties
    error, tau = float(np.abs(predicted / times - 1).mean()), defined(kendall_tau(predicted, times))
    fitted = np.round(_relative_fit(rows, times), _DIGITS).tolist()
    return LatencyModel(
        network, dict(conditions), dict(zip(term_names(space), fitted, strict=True)), round_off(error),
        None if tau is None else round_off(tau), tuple(measured),
    )  # fmt: skip


def _relative_fit(rows: Floats, times: Floats) -> Floats:
    return non_negative_least_squares(rows / times[:, None], np.ones(len(times)))


def non_negative_least_squares(matrix: Floats, target: Floats) -> Floats:
    """Return the x >= 0, shape (m,), of the least squared error of ``matrix @ x``, shape (n,), and the target.

    Source: Lawson and Hanson, *Solving Least Squares Problems*, 1974, Ch. 23, algorithm NNLS.

    >>> non_negative_least_squares(np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]]), np.array([3.0, 2.0, 1.0])).round(9)
    array([2., 0.])
    """
    # columns of one length, so that one tolerance serves them all
    lengths = np.sqrt((matrix * matrix).sum(0))
    scaled = matrix / np.where(lengths > 0, lengths, 1.0)
    tolerance = 1e-10 * max(1.0, float(np.abs(target).sum()))
    x, free = np.zeros(matrix.shape[1]), np.zeros(matrix.shape[1], dtype=bool)
    for _ in range(3 * len(x)):
        slope = np.where(free, -np.inf, scaled.T @ (target - scaled @ x))
        if slope.max() <= tolerance:
            break
        free[slope.argmax()] = True
        x = _feasible(scaled, target, x, free)
    return np.where(free, np.round(x, 15), 0.0) / np.where(lengths > 0, lengths, 1.0)


def _feasible(matrix: Floats, target: Floats, x: Floats, free: NDArray[np.bool_]) -> Floats:
    """Return the least squares solution in the free columns, of which those that would fall below 0 are bound."""
    while True:
        wanted = np.zeros_like(x)
        wanted[free] = np.linalg.lstsq(matrix[:, free], target, rcond=None)[0]
        below = free & (wanted <= 0)
        if not below.any():
            return wanted
        share = x[below] / np.maximum(x[below] - wanted[below], np.finfo(np.float64).tiny)
        x = x + share.min() * (wanted - x)
        # the first to reach 0, whatever rounding left of it
        free[np.flatnonzero(below)[share.argmin()]] = False
        free &= x > 0
        x = np.where(free, x, 0.0)
