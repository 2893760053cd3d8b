"""An empty picture with its panels, by matplotlib: ``pip install 'bnao[plot]'``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnao.errors import BnaoError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HINT = "pictures need matplotlib: pip install 'bnao[plot]'"

# the Okabe-Ito palette, which the colour-blind can tell apart, and brown
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8B4513")
_COLUMN = 3.2  # inches


def canvas(columns: int = 1, rows: int = 1, width: float = 1.0) -> tuple[Figure, list[Axes]]:
    """Return an empty figure and its panels, from left to right and top to bottom.

    Raises:
        BnaoError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise BnaoError(HINT) from None
    figure = Figure(figsize=(_COLUMN * columns * width, 2.7 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for panel in panels.flat:
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    return figure, list(panels.flat)


def titled(panel: Axes, title: str, x: str, y: str) -> None:
    """Set a panel's title and labels."""
    panel.set_title(title, fontsize=9)
    panel.set_xlabel(x, fontsize=8)
    panel.set_ylabel(y, fontsize=8)
