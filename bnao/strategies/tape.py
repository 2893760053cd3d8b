"""Gradients of small networks in NumPy: what is computed is written down, and differentiated backwards.

The recurrent policy of ENAS is a few thousand numbers; computed here, it is the same to every framework, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bnao.strategies.logits import Array, log_softmax

Rows = NDArray[np.int64]


class Value:
    """A matrix on a tape.

    Attributes:
        data: shape (rows, columns).
        gradient: of what was differentiated, of the same shape; zeros before.
    """

    __slots__ = ("_back", "data", "gradient")

    def __init__(self, data: Array, back: Callable[[Array], None] | None = None) -> None:
        self.data, self._back = data, back
        self.gradient: Array = np.zeros_like(data)

    def send_back(self) -> None:
        """Pass the gradient on to what this was computed from."""
        if self._back is not None:
            self._back(self.gradient)


class Tape:
    """Computes, and remembers the order.

    >>> tape = Tape()
    >>> x, w = tape.given(np.array([[1.0, 2.0]])), tape.given(np.array([[3.0], [4.0]]))
    >>> y = tape.tanh(tape.times(x, w))
    >>> tape.differentiate(y, np.ones((1, 1)))
    >>> np.allclose(w.gradient.ravel(), (1 - np.tanh(11.0) ** 2) * np.array([1.0, 2.0]))
    True
    """

    def __init__(self) -> None:
        self._values: list[Value] = []

    def _made(self, data: Array, back: Callable[[Array], None] | None = None) -> Value:
        self._values.append(Value(data, back))
        return self._values[-1]

    def given(self, data: Array) -> Value:
        """Put an input or a parameter on the tape."""
        return self._made(data)

    def differentiate(self, value: Value, by: Array) -> None:
        """Add to every ``gradient`` the derivative of sum(by x value); once a tape."""
        value.gradient = value.gradient + by
        for each in reversed(self._values):
            each.send_back()

    def times(self, x: Value, w: Value) -> Value:
        """Return the matrix product."""

        def back(gradient: Array) -> None:
            x.gradient += gradient @ w.data.T
            w.gradient += x.data.T @ gradient

        return self._made(x.data @ w.data, back)

    def plus(self, x: Value, y: Value) -> Value:
        """Return the sum; y may be one row, which is added to each."""

        def back(gradient: Array) -> None:
            x.gradient += gradient
            y.gradient += gradient if y.data.shape == gradient.shape else gradient.sum(0, keepdims=True)

        return self._made(x.data + y.data, back)

    def product(self, x: Value, y: Value) -> Value:
        """Return the elements' products."""

        def back(gradient: Array) -> None:
            x.gradient += gradient * y.data
            y.gradient += gradient * x.data

        return self._made(x.data * y.data, back)

    def tanh(self, x: Value, factor: float = 1.0) -> Value:
        """Return factor x tanh(x)."""
        data = np.tanh(x.data)

        def back(gradient: Array) -> None:
            x.gradient += factor * gradient * (1 - data**2)

        return self._made(factor * data, back)

    def sigmoid(self, x: Value) -> Value:
        """Return 1 / (1 + exp(-x))."""
        data = 0.5 * (1 + np.tanh(0.5 * x.data))

        def back(gradient: Array) -> None:
            x.gradient += gradient * data * (1 - data)

        return self._made(data, back)

    def columns(self, x: Value, start: int, end: int) -> Value:
        """Return some of the columns."""

        def back(gradient: Array) -> None:
            x.gradient[:, start:end] += gradient

        return self._made(x.data[:, start:end], back)

    def beside(self, parts: Sequence[Value]) -> Value:
        """Return matrices of as many rows side by side."""
        ends = np.cumsum([part.data.shape[1] for part in parts]).tolist()

        def back(gradient: Array) -> None:
            for part, end in zip(parts, ends, strict=True):
                part.gradient += gradient[:, end - part.data.shape[1] : end]

        return self._made(np.concatenate([part.data for part in parts], axis=1), back)

    def rows(self, x: Value, chosen: Rows) -> Value:
        """Return rows of a matrix, which may come several times."""

        def back(gradient: Array) -> None:
            np.add.at(x.gradient, chosen, gradient)

        return self._made(x.data[chosen], back)

    def pick(self, parts: Sequence[Value], chosen: Rows) -> Value:
        """Return for each row that of one of several matrices."""
        rows = np.arange(len(chosen))

        def back(gradient: Array) -> None:
            for number, part in enumerate(parts):
                part.gradient[chosen == number] += gradient[chosen == number]

        return self._made(np.stack([part.data for part in parts])[chosen, rows], back)

    def log_chance(self, logits: Value, chosen: Rows) -> Value:
        """Return the logarithm of each row's chance of the column chosen, shape (rows, 1)."""
        logarithms, rows = log_softmax(logits.data), np.arange(len(chosen))

        def back(gradient: Array) -> None:
            logits.gradient -= gradient * np.exp(logarithms)
            logits.gradient[rows, chosen] += gradient[:, 0]

        return self._made(logarithms[rows, chosen][:, None], back)
