"""Notations of a genotype, in and out: bnao's text form and the authors' integers."""

from __future__ import annotations

import re

import numpy as np

from bnao.errors import GenotypeError
from bnao.genotype import Genotype
from bnao.space import SearchSpace

_INTEGERS = re.compile(r"[\s,\[\]]*[-+]?\d+(?:[\s,\[\]]+[-+]?\d+)*[\s,\[\]]*")


def parse(text: str, space: SearchSpace) -> Genotype:
    """The genotype that a text means, whatever its notation; the notation is told by the text itself.

    Args:
        text: bnao's text form, or the authors' integers (source, operation, source, operation for every
            node of the normal cell, then of the reduction cell), separated by blanks or commas.
        space: the space it must belong to.

    Raises:
        GenotypeError: neither notation, or not a genotype of the space.

    >>> from bnao.space import SPACES
    >>> cell = "1 1 0 1 2 4 0 0 0 0 2 1 0 0 0 2 0 3 0 0"
    >>> str(parse(f"{cell} {cell}", SPACES["nao"])).split(";")[0]
    '0:sep_conv_5x5+1:sep_conv_5x5'
    """
    if _INTEGERS.fullmatch(text):
        return _from_integers(text, space)
    if ":" not in text:
        raise GenotypeError(
            f"{text.strip()[:60]!r} is no genotype; give '0:sep_conv_3x3+1:skip_connect;...|...' "
            f"or {space.length} integers"
        )
    return space.check(Genotype.parse(text))


def _from_integers(text: str, space: SearchSpace) -> Genotype:
    # ten characters tell a number that cannot be as well as thousands, which int() refuses
    numbers = [int(number[:10]) for number in re.findall(r"[-+]?\d+", text)]
    if len(numbers) != space.length:
        raise GenotypeError(
            f"{len(numbers)} integers; a genotype of space {space.name!r} with {space.nodes} nodes has {space.length}"
        )
    cells, nodes, edges, _ = space.shape
    for place, number in enumerate(numbers):
        cell, node, edge, part = np.unravel_index(place, (cells, nodes, edges, 2))
        most = len(space.operations) - 1 if part else space.inputs + int(node) - 1
        if not 0 <= number <= most:
            what = "operation" if part else "state"
            raise GenotypeError(
                f"integer {place} (the {'second' if edge else 'first'} {what} of node {node} in the "
                f"{'reduction' if cell else 'normal'} cell) is {number}; it can be 0..{most}"
            )
    return space.decode(np.array(numbers))[0]


def to_integers(genotype: Genotype, space: SearchSpace) -> str:
    """The authors' integers of a genotype, separated by blanks.

    >>> from bnao.space import space_named
    >>> space = space_named("nao", 1)
    >>> to_integers(parse("0 1 1 4 0 0 1 3", space), space)
    '0 1 1 4 0 0 1 3'
    """
    return " ".join(str(number) for number in space.encode([genotype]).ravel())
