"""Policies over genotypes: a chance for every source and every operation, and the gradient of its logarithm.

Source: Pham et al. 2018, *Efficient Neural Architecture Search via Parameter Sharing* (ENAS), arXiv 1802.03268, and the
authors' ``micro_controller.py``; the tabular policy is that of NATS-Bench's REINFORCE.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.config.strategies.enas import EnasConfig
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace
from bnao.strategies.logits import Array, log_softmax
from bnao.strategies.tape import Tape, Value
from bnao.streams import stream

#: choices by their place among ``choices_of``, shape (n, choices)
Choices = NDArray[np.int64]

# the authors' bias towards separable convolutions in the normal cell, and the first value of the trained one
_BIAS, _FIRST_BIAS = 0.25, 10.0


@frozen
class Choice:
    """One decision of a genotype.

    Attributes:
        cell: normal 0, reduction 1.
        edge: which of the cell's edges, in the order of ``space.places``.
        what: source 0, operation 1.
        options: how many there are.
    """

    cell: int
    edge: int
    what: int
    options: int


def choices_of(space: SearchSpace) -> list[Choice]:
    """Return the decisions of a genotype in ENAS' order: of each node the sources of its edges, then their operations.

    A source that is the only one is no decision.

    >>> from bnao.space.spaces import SPACES
    >>> len(choices_of(SPACES["nao"])), len(choices_of(SPACES["nas-bench-201"]))
    (40, 6)
    """
    found = []
    for cell in range(space.cells):
        for node in range(space.nodes):
            edges = [place for place in enumerate(space.places) if place[1][0] == node]
            sources = [Choice(cell, at, 0, len(space.sources(*place))) for at, place in edges]
            found += [choice for choice in sources if choice.options > 1]
            found += [Choice(cell, at, 1, len(space.operations)) for at, _ in edges]
    return found


def genotypes_of(chosen: Choices, space: SearchSpace) -> list[Genotype]:
    """Return the genotypes of some rows of choices."""
    codes = np.zeros((len(chosen), space.cells, len(space.places), 2), dtype=np.int64)
    codes[..., 0] = [space.sources(*place)[0] for place in space.places]
    for column, choice in enumerate(choices_of(space)):
        options = chosen[:, column]
        if choice.what == 0:
            options = np.array(space.sources(*space.places[choice.edge]))[options]
        codes[:, choice.cell, choice.edge, choice.what] = options
    return space.decode(codes)


@frozen(eq=False)
class Sampled:
    """Genotypes drawn from a policy.

    Attributes:
        choices: of each, shape (n, choices).
        entropy: sum of the entropies of its decisions, nats, shape (n,).
    """

    choices: Choices
    entropy: Array


class Policy(Protocol):
    """A distribution over genotypes with parameters; sampling and gradients are functions of them."""

    #: by name; an update replaces the arrays
    parameters: dict[str, Array]

    def sample(self, n: int, rng: np.random.Generator | None) -> Sampled:
        """Draw n genotypes; without a generator take the most likely option of every decision in turn."""
        ...

    def gradient(self, choices: Choices, weights: Array) -> dict[str, Array]:
        """Return the gradient of mean(weights x log chance) of some genotypes by each parameter."""
        ...


class TabularPolicy:
    """Independent logits for every decision.

    Args:
        space: of its genotypes.
        seed: of the first logits, normal with deviation 0.001.

    >>> from bnao.space.spaces import SPACES
    >>> policy = TabularPolicy(SPACES["nas-bench-201"], seed=0)
    >>> drawn = policy.sample(1000, stream(0, "example"))
    >>> drawn.choices.shape, bool(abs(drawn.entropy - 6 * np.log(5)).max() < 1e-4)
    ((1000, 6), True)
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._choices = choices_of(space)
        self._names = [f"cells.{each.cell}.edges.{each.edge}.{each.what}" for each in self._choices]
        rng = stream(seed, "tabular policy")
        self.parameters: dict[str, Array] = {
            name: 1e-3 * rng.standard_normal(each.options)
            for name, each in zip(self._names, self._choices, strict=True)
        }

    def sample(self, n: int, rng: np.random.Generator | None) -> Sampled:
        """Draw n genotypes; without a generator take the most likely option of every decision."""
        uniform = None if rng is None else rng.random((n, len(self._choices)))
        chosen, entropies = np.empty((n, len(self._choices)), np.int64), np.zeros(n)
        for column, name in enumerate(self._names):
            logits = np.broadcast_to(self.parameters[name], (n, len(self.parameters[name])))
            chosen[:, column] = drawn(logits, None if uniform is None else uniform[:, column])
            entropies += row_entropies(logits)
        return Sampled(chosen, entropies)

    def gradient(self, choices: Choices, weights: Array) -> dict[str, Array]:
        """Return the gradient of mean(weights x log chance) by each parameter."""
        gradients = {}
        for column, name in enumerate(self._names):
            chances = np.exp(log_softmax(self.parameters[name]))
            taken = np.bincount(choices[:, column], weights=weights, minlength=len(chances))
            gradients[name] = (taken - weights.sum() * chances) / len(weights)
        return gradients


class RecurrentPolicy:
    """ENAS' controller: an LSTM that decides one after the other, each decision its next input.

    A source is chosen by attention over what the LSTM gave after each state, an operation by a layer of its own; the
    reduction cell is decided after the normal one, by the same weights.

    Args:
        space: of its genotypes.
        settings: units, bounds of the logits, and whether separable convolutions are preferred.
        seed: of the first weights, uniform in -0.1..0.1.
    """

    def __init__(self, space: SearchSpace, settings: EnasConfig, seed: int) -> None:
        self._space, self._settings = space, settings
        size, operations = settings.units, len(space.operations)
        shapes = {
            "start": (1, size),
            "operations": (operations, size),
            "lstm": (2 * size, 4 * size),
            "attention.state": (size, size),
            "attention.query": (size, size),
            "attention.out": (size, 1),
            "out": (size, operations),
        }
        rng = stream(seed, "recurrent policy")
        self.parameters: dict[str, Array] = {name: rng.uniform(-0.1, 0.1, shape) for name, shape in shapes.items()}
        preferred = np.array([name.startswith("sep_conv") for name in space.operations])
        self._bias = np.zeros((1, operations))
        self.parameters["out.bias"] = np.zeros((1, operations))
        if settings.prefer_separable:
            self._bias = np.where(preferred, _BIAS, -_BIAS)[None]
            self.parameters["out.bias"] = np.where(preferred, _FIRST_BIAS, 0.0)[None]

    def sample(self, n: int, rng: np.random.Generator | None) -> Sampled:
        """Draw n genotypes; without a generator take the most likely option of every decision in turn."""
        choices = choices_of(self._space)
        uniform = None if rng is None else rng.random((n, len(choices)))
        run = _Run(self._space, self._settings, self.parameters, self._bias, n)
        columns: list[NDArray[np.int64]] = []
        entropies = np.zeros(n)

        def choose(logits: Value) -> NDArray[np.int64]:
            entropies[:] += row_entropies(logits.data)
            chosen = drawn(logits.data, None if uniform is None else uniform[:, len(columns)])
            columns.append(chosen)
            return chosen

        run.decide(choose)
        return Sampled(np.stack(columns, axis=1), entropies)

    def gradient(self, choices: Choices, weights: Array) -> dict[str, Array]:
        """Return the gradient of mean(weights x log chance) by each parameter."""
        run = _Run(self._space, self._settings, self.parameters, self._bias, len(choices))
        columns = iter(choices.T)
        logarithms: list[Value] = []

        def choose(logits: Value) -> NDArray[np.int64]:
            chosen: NDArray[np.int64] = next(columns)
            logarithms.append(run.tape.log_chance(logits, chosen))
            return chosen

        run.decide(choose)
        run.tape.differentiate(
            run.tape.beside(logarithms), np.repeat(weights[:, None], choices.shape[1], 1) / len(weights)
        )
        return {name: value.gradient for name, value in run.weights.items()}


class _Run:
    """One pass of the controller over the decisions of n genotypes."""

    def __init__(
        self, space: SearchSpace, settings: EnasConfig, parameters: Mapping[str, Array], bias: Array, n: int
    ) -> None:
        self.space, self.settings, self.bias, self.n = space, settings, bias, n
        self.tape = Tape()
        self.weights = {name: self.tape.given(value) for name, value in parameters.items()}
        size = settings.units
        self.cell, self.hidden = (self.tape.given(np.zeros((n, size))) for _ in range(2))

    def step(self, given: Value) -> Value:
        """Give the LSTM an input; its output."""
        tape, size = self.tape, self.settings.units
        gates = tape.times(tape.beside([given, self.hidden]), self.weights["lstm"])
        into, forget, out = (tape.sigmoid(tape.columns(gates, at * size, (at + 1) * size)) for at in range(3))
        new = tape.tanh(tape.columns(gates, 3 * size, 4 * size))
        self.cell = tape.plus(tape.product(into, new), tape.product(forget, self.cell))
        self.hidden = tape.product(out, tape.tanh(self.cell))
        return self.hidden

    def decide(self, choose: Callable[[Value], NDArray[np.int64]]) -> None:
        """Make the decisions of both cells in turn; ``choose`` takes logits (n, options)."""
        for cell in range(self.space.cells):
            self._decide_cell(cell, choose)

    def _decide_cell(self, cell: int, choose: Callable[[Value], NDArray[np.int64]]) -> None:
        tape, space, start = self.tape, self.space, self.weights["start"]
        first = tape.rows(start, np.zeros(self.n, np.int64))
        states, keys, given = list[Value](), list[Value](), first
        for _ in range(space.inputs):
            keys.append(tape.times(self.step(given), self.weights["attention.state"]))
            states.append(tape.given(np.zeros((self.n, self.settings.units))))
        for node in range(space.nodes):
            edges = [place for place in space.places if place[0] == node]
            for place in edges:
                if len(space.sources(*place)) > 1:
                    chosen = choose(self._source_logits(self.step(given), [keys[at] for at in space.sources(*place)]))
                    given = tape.pick([states[at] for at in space.sources(*place)], chosen)
            for _ in edges:
                chosen = choose(self._operation_logits(self.step(given), cell))
                given = tape.rows(self.weights["operations"], chosen)
            states.append(self.step(given))
            keys.append(tape.times(states[-1], self.weights["attention.state"]))
            given = first

    def _source_logits(self, hidden: Value, keys: Sequence[Value]) -> Value:
        tape, settings = self.tape, self.settings
        query = tape.times(hidden, self.weights["attention.query"])
        logits = [tape.times(tape.tanh(tape.plus(key, query)), self.weights["attention.out"]) for key in keys]
        return self._bounded(tape.beside(logits), settings.tanh_constant)

    def _operation_logits(self, hidden: Value, cell: int) -> Value:
        tape, settings = self.tape, self.settings
        logits = tape.plus(tape.times(hidden, self.weights["out"]), self.weights["out.bias"])
        bounded = self._bounded(logits, settings.tanh_constant / settings.operation_reduce)
        return tape.plus(bounded, tape.given(self.bias)) if cell == 0 else bounded

    def _bounded(self, logits: Value, bound: float) -> Value:
        return self.tape.tanh(logits, bound) if bound else logits


def drawn(logits: Array, uniform: Array | None) -> NDArray[np.int64]:
    """Return a column for each row, with the chances of its softmax, or the most likely where ``uniform`` is None.

    Args:
        logits: shape (n, options).
        uniform: in [0, 1), shape (n,).

    >>> drawn(np.zeros((2, 2)), np.array([0.4, 0.6])).tolist(), drawn(np.array([[0.0, 1.0]]), None).tolist()
    ([0, 1], [1])
    """
    sums = np.exp(log_softmax(logits)).cumsum(1)
    chosen: NDArray[np.int64] = logits.argmax(1) if uniform is None else (uniform[:, None] >= sums[:, :-1]).sum(1)
    return chosen


def row_entropies(logits: Array) -> Array:
    """Return the entropy of each row's softmax, in nats."""
    logarithms = log_softmax(logits)
    entropies: Array = -(np.exp(logarithms) * logarithms).sum(1)
    return entropies


def make_policy(space: SearchSpace, settings: EnasConfig, seed: int) -> Policy:
    """Return the policy that the settings name."""
    return TabularPolicy(space, seed) if settings.policy == "tabular" else RecurrentPolicy(space, settings, seed)
