"""Supernets whose edges share weights, and those that begin with theirs.

In the paper each edge trains weights of its own. An operation that more edges share is trained at more steps, at no
cost (sharing extent: CLOSE, Zhou et al. 2022, arXiv 2207.07868).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from bnao.network.parameters import shared_place
from bnao.network.state import MOMENTUM

_PLACE = re.compile(r"(cells\.\d+)\.nodes\.(\d+)(?:\.edges\.(\d+))?\.(\w+)(?:\.source\.(\d+))?\.(.+)")


def split_weights(
    state: Mapping[str, NDArray[np.float32]], names: Iterable[str], share_over: str
) -> dict[str, NDArray[np.float32]]:
    """Return the weights of a supernet whose edges share less than those of the supernet they come from.

    Each edge begins with a copy of what it shared, momenta (``momentum.<name>``) included.

    Args:
        state: of the supernet that shares more, by canonical name.
        names: parameters of the other supernet.
        share_over: which edges shared an operation's weights in ``state``.

    Returns:
        What ``state`` has of each name, or of what its edge shared; names of which it has nothing are left out.

    >>> shared = {"cells.0.nor_conv_1x1.kernel": np.ones((2, 2, 1, 1), np.float32)}
    >>> names = [f"cells.0.nodes.{node}.edges.0.nor_conv_1x1.kernel" for node in range(2)]
    >>> sorted(split_weights(shared, names, "cell")) == names
    True
    """
    split = {}
    for name in names:
        place = _PLACE.fullmatch(name)
        shared = name
        if place is not None:
            cell, node, edge, operation, source, rest = place.groups()
            reads = None if source is None else int(source)
            shared = f"{shared_place(share_over, cell, int(node), int(edge or 0), operation, reads)}.{rest}"
        for prefix in ("", MOMENTUM):
            if prefix + shared in state:
                split[prefix + name] = np.array(state[prefix + shared])
    return split
