"""Writes docs/zoo.md: every published cell, what was claimed of it, and what is counted.

python docs/make_zoo.py
"""

from __future__ import annotations

from pathlib import Path

from bnao.network.claims import Counted, count_claims
from bnao.space.zoo import Published, zoo

PAGE = Path(__file__).resolve().parent / "zoo.md"

_HEAD = """# The zoo

Published cells by name. `bnao zoo` lists them, `bnao zoo NAME` tells all of one, and a name may stand wherever bnao
takes a genotype: `bnao show DARTS_V2`, `bnao evaluate DARTS_V2`, `bnao draw DARTS_V2 -o cells.svg`.

What papers and repositories claim stands beside what bnao counts by arithmetic in the same setting: parameters without
the auxiliary head, and multiply-adds of one image (convolutions and linear layers). CIFAR-10's images are 32 x 32,
ImageNet's 224 x 224. A network of N has 3N + 2 cells. **Bold** is a count that does not round to its claim. This page
is written by `docs/make_zoo.py`; a test compares it.

| cell | space | data | C | N | parameters claimed | counted | multiply-adds | test error claimed | by |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |
"""

_PICTURES = """
## Two of them

`bnao draw NAONet-V2 -o NAONet-V2.svg`, the cell of *Balanced One-shot Neural Architecture Optimization*:

![NAONet-V2](zoo/NAONet-V2.svg)

`bnao draw DARTS_V2 -o DARTS_V2.svg`:

![DARTS_V2](zoo/DARTS_V2.svg)
"""


def page() -> str:
    """The whole page."""
    rows = [_row(entry, each) for entry in zoo() for each in count_claims(entry)]
    notes = ["\n## What should be known of them\n"]
    for entry in zoo():
        space = "in no space of bnao" if entry.space is None else f"space `{entry.space.name}`"
        notes += [f"**{entry.name}**, from {entry.source}; {space}.\n", *(f"- {note}" for note in entry.notes)]
        notes.append("" if entry.genotype is None else f"- `{entry.genotype}`\n")
    return _HEAD + "\n".join(rows) + "\n" + _PICTURES + "\n".join(notes).rstrip() + "\n"


def _row(entry: Published, each: Counted) -> str:
    claim = each.claim
    claimed = "" if claim is None or claim.parameters is None else f"{claim.parameters:g} M"
    weights = "" if each.parameters is None else f"{each.parameters:,}"
    cells = [
        entry.name,
        "" if entry.space is None else f"`{entry.space.name}`",
        {"cifar10": "CIFAR-10", "imagenet": "ImageNet"}["cifar10" if claim is None else claim.data],
        "" if each.network is None else str(each.network.channels),
        "" if each.network is None else str(each.network.cells),
        claimed,
        f"**{weights}**" if each.agrees is False else weights,
        "" if each.multiply_adds is None else f"{each.multiply_adds / 1e6:,.2f} M",
        "" if claim is None else f"{claim.error:g} %",
        "" if claim is None else "; ".join(filter(None, (claim.where, claim.setting))),
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
