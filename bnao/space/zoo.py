"""Published cells by name, with what was claimed of them: facts from papers and repositories, each with its source.

The data are in ``zoo.json`` beside this file. ``bnao.network.claims`` holds what was claimed against what is counted.
"""

from __future__ import annotations

import difflib
import json
import re
from functools import cache
from typing import Any

from attrs import frozen

from bnao.config.settings import NetworkConfig
from bnao.errors import GenotypeError
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace, space_named

#: what a data set's images are
_IMAGES = {"cifar10": ("cifar", 10, (32, 32, 3)), "imagenet": ("imagenet", 1000, (224, 224, 3))}


@frozen
class Claim:
    """Published figures of a cell's network.

    Attributes:
        data: the images it was trained on, cifar10 or imagenet.
        channels, cells: the network's C and N; None where they were not said.
        parameters: claimed, in millions; None likewise.
        error: test error (ImageNet: top-1), percent.
        top_5_error: percent; None where it was not said.
        where: who says so.
        setting: what is special about the training.
    """

    data: str
    channels: int | None
    cells: int | None
    parameters: float | None
    error: float
    where: str
    top_5_error: float | None = None
    setting: str = ""


@frozen
class Published:
    """A published cell.

    Attributes:
        name: what it is called here.
        space: the search space whose rules its network has; None where the cell cannot be expressed.
        genotype: the cells; None likewise, and the notes say why.
        channels, cells: C and N of its CIFAR-10 network.
        source: where the cells are from.
        claims: what was published of its networks.
        notes: what disagrees, and what else should be known.
    """

    name: str
    space: SearchSpace | None
    genotype: Genotype | None
    channels: int
    cells: int
    source: str
    claims: tuple[Claim, ...]
    notes: tuple[str, ...]

    def network(self, claim: Claim | None = None) -> NetworkConfig | None:
        """Return the network that a claim is about, or the one for CIFAR-10; None where that is not known.

        >>> published_cell("DARTS_V2").network().cells
        6
        """
        channels, cells = (self.channels, self.cells) if claim is None else (claim.channels, claim.cells)
        if self.space is None or channels is None or cells is None:
            return None
        stem, classes, image = _IMAGES["cifar10" if claim is None else claim.data]
        return NetworkConfig(
            space=self.space.name, channels=channels, cells=cells, network=stem, classes=classes, image=image
        )


@cache
def zoo() -> tuple[Published, ...]:
    """Return all published cells, in the order of the file.

    >>> len(zoo()), sum(entry.genotype is not None for entry in zoo())
    (20, 16)
    """
    from importlib.resources import files

    content = json.loads((files("bnao") / "space" / "zoo.json").read_text(encoding="utf-8"))
    return tuple(_entry(**entry) for entry in content["entries"])


def _entry(
    space: str | None, genotype: str | None, claims: list[dict[str, Any]], notes: list[str], **rest: Any
) -> Published:
    known = None if space is None else space_named(space)
    cells = None if known is None or genotype is None else known.parse(genotype)
    return Published(
        space=known, genotype=cells, claims=tuple(Claim(**claim) for claim in claims), notes=tuple(notes), **rest
    )


def published_cell(name: str) -> Published:
    """Return the published cell of a name; letters and digits alone count, capitals or not.

    Raises:
        GenotypeError: there is none.

    >>> published_cell("darts-v2").genotype.normal.nodes[0]
    Node(edges=(Edge(source=0, operation='sep_conv_3x3'), Edge(source=1, operation='sep_conv_3x3')))
    """
    entries = {_plain(entry.name): entry for entry in zoo()}
    entry = entries.get(_plain(name))
    if entry is None:
        near = difflib.get_close_matches(_plain(name)[:60], entries, 1)
        hint = f"did you mean {entries[near[0]].name}?" if near else "see: bnao zoo"
        raise GenotypeError(f"no published cell {name.strip()[:60]!r}; {hint}")
    return entry


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())
