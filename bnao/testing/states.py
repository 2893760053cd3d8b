"""States of networks, compared bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnao.protocols import State


def copy_of(state: State) -> dict[str, Any]:
    """Return a copy of a state's arrays, which training then leaves alone."""
    return {name: np.array(value) for name, value in state.items()}


def are_equal(one: State, other: State) -> bool:
    """Return whether two states have the same names and the same bits."""
    return set(one) == set(other) and all((one[name] == other[name]).all() for name in one)
