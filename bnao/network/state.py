"""A network's state: arrays by canonical name, checked, and in safetensors files.

No pickle is ever read or written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnao.errors import WeightsError
from bnao.files import MOST_WEIGHTS, NO_CHECKSUM, check_regular, file_is_intact, parse_json, with_checksum
from bnao.network.parameters import Shapes
from bnao.run import DAMAGED

#: what a checkpoint or a weights file holds: arrays by canonical name, kernels as output x input x height x width
State = Mapping[str, NDArray[np.float32]]

#: what the names of momenta begin with in a network's state
MOMENTUM = "momentum."

#: the version of the weights files; since 2 an edge of a supernet trains the weights that a hash of its node chooses
FORMAT = 2


def check_state(state: Mapping[str, NDArray[np.float32]], shapes: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Refuse weights that are not exactly these parameters.

    Raises:
        WeightsError: one is missing, unknown, or of another shape or type; it is named.
    """
    for name, shape in shapes.items():
        if name not in state:
            raise WeightsError(f"{where} lacks {name} of shape {shape}; it belongs to another network")
        if state[name].shape != shape:
            raise WeightsError(f"{where} has {name} of shape {state[name].shape}; this network's is {shape}")
        if state[name].dtype != np.float32:
            raise WeightsError(f"{where} has {name} of type {state[name].dtype}; weights are float32")
    unknown = [name for name in state if name not in shapes]
    if unknown:
        raise WeightsError(f"{where} has {unknown[0]}, which this network lacks; it belongs to another network")


def without_momenta(state: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Return the weights and statistics of a state, which are all that a finished network is.

    >>> list(without_momenta({"kernel": np.zeros(1), "momentum.kernel": np.zeros(1)}))
    ['kernel']
    """
    return {name: value for name, value in state.items() if not name.startswith(MOMENTUM)}


def checked_state(
    state: Mapping[str, NDArray[np.float32]], shapes: Mapping[str, tuple[int, ...]], statistics: Shapes
) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """Return a network's state in two: weights and statistics, and momenta by their parameter's name.

    Args:
        state: what a network's ``state`` gave, or a weights file, which has no momenta.
        shapes: the network's parameters.
        statistics: its norms' running means and variances; none in a supernet.

    Raises:
        WeightsError: something is missing, unknown or of another shape.
    """
    own = without_momenta(state)
    check_state(own, {**shapes, **statistics}, "the weights")
    momenta = {name.removeprefix(MOMENTUM): value for name, value in state.items() if name not in own}
    for name, value in momenta.items():
        if shapes.get(name) != value.shape:
            raise WeightsError(f"the weights have {MOMENTUM}{name} of shape {value.shape}, which this network lacks")
    return own, momenta


# one key, since a safetensors file keeps several in no fixed order, and equal states must be equal files
_ABOUT = "bnao"

# of a safetensors file, what can be its header, in which its metadata stand
_MOST_HEAD = 1 << 20


def to_bytes(state: Mapping[str, NDArray[np.float32]], about: Mapping[str, Any] | None = None) -> bytes:
    """Return the state as a safetensors file's content, with its checksum; the same bytes for the same state.

    Args:
        state: arrays by name.
        about: what else the file says, as JSON can: the round, the genotype.
    """
    from safetensors.numpy import save

    contiguous = {name: np.asarray(value, order="C") for name, value in state.items()}
    says = {"format": FORMAT, "sha256": NO_CHECKSUM, **(about or {})}
    return with_checksum(save(contiguous, {_ABOUT: json.dumps(says)}))


def read_weights(
    path: str | Path, remedy: str = "bring back a copy of it"
) -> tuple[dict[str, NDArray[np.float32]], dict[str, Any]]:
    """Read the arrays of a safetensors file, and what else it says.

    Args:
        path: the file.
        remedy: what to do if it is damaged.

    Raises:
        WeightsError: no such file, not a whole safetensors file, damaged, or of a format this version does not know.
    """
    from safetensors import SafetensorError, safe_open

    try:
        size = check_regular(path, MOST_WEIGHTS)
        intact = file_is_intact(path, head=min(size, _MOST_HEAD))
        with safe_open(path, framework="numpy") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
            about = parse_json((file.metadata() or {}).get(_ABOUT, "{}"))
            if not isinstance(about, dict):
                raise ValueError(f"what it says of itself is no JSON object, but {about!r}")
    except (OSError, SafetensorError, ValueError, TypeError) as error:
        raise WeightsError(f"cannot read the weights in {path}: {error}; {remedy}") from None
    if about.get("format", FORMAT) != FORMAT:
        raise WeightsError(f"{path} has format {about['format']}; this version of bnao reads format {FORMAT}")
    if intact is False:
        raise WeightsError(f"{path} {DAMAGED}; {remedy}")
    return state, {name: value for name, value in about.items() if name != "sha256"}
