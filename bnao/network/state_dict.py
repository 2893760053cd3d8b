"""A trained network's arrays by the names of PyTorch's state_dict, as ``bnao export`` writes them beside a program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Array = TypeVar("Array")

#: how PyTorch calls the last part of a parameter's name; behind any other it adds ``weight``
_PARTS = {"scale": "weight", "shift": "bias", "mean": "running_mean", "variance": "running_var"}

#: what the names of the normalisation of its images begin with, which is no parameter
IMAGE = "image_"

#: what a file says of its names if they are these
NAMES = "state_dict"


def torch_name(name: str) -> str:
    """Return a parameter's name in the plain network's state_dict.

    >>> torch_name("stem.0.kernel"), torch_name("stem.0.norm.scale"), torch_name("classifier.bias")
    ('stem.0.kernel.weight', 'stem.0.norm.weight', 'classifier.bias')
    """
    layer, _, part = name.rpartition(".")
    if part in _PARTS:
        return f"{layer}.{_PARTS[part]}"
    return name if layer == "classifier" else f"{name}.weight"


def by_canonical_name(state: Mapping[str, Array]) -> dict[str, Array]:
    """Return a state_dict's parameters and statistics by canonical name, without the normalisation of images.

    >>> by_canonical_name({"image_mean": 0, "stem.0.kernel.weight": 1, "n.weight": 2, "n.running_var": 3})
    {'stem.0.kernel': 1, 'n.scale': 2, 'n.variance': 3}
    """
    ours = {theirs: part for part, theirs in _PARTS.items()}
    named = {}
    for name, value in state.items():
        layer, _, part = name.rpartition(".")
        if name.startswith(IMAGE):
            continue
        if f"{layer}.running_var" in state:
            named[f"{layer}.{ours.get(part, part)}"] = value
        else:
            named[name if layer == "classifier" else name.removesuffix(".weight")] = value
    return named
