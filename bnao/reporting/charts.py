"""Charts as Vega-Lite specifications: plain data, which a page draws and any other program of Vega's can.

A chart of genotypes has a parameter ``chosen``, the id of the selected one, which it draws large.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = Sequence[Mapping[str, Any]]
Spec = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"

# the Okabe-Ito palette, which the colour-blind can tell apart, its blue lighter so that it is seen on dark as well
COLOURS = ("#2A86C4", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8B4513", "#888888")
_GREY = "#888888"
_HEIGHT = 300  # pixels
# beyond so many a legend is longer than the chart
_LEGEND = 10


def scale(
    field: str, title: str, *, form: str | None = None, log: bool = False, zero: bool = False, whole: bool = False
) -> Spec:
    """Return the encoding of a number by its place along an axis; ``whole`` numbers have no marks between them.

    >>> scale("score", "score", form=".0%")["axis"]
    {'format': '.0%'}
    """
    kind = {"type": "log"} if log else {"zero": zero}
    axis: Spec = {} if form is None else {"axis": {"format": form}}
    if whole:
        axis = {"axis": {"format": ",d", "tickMinStep": 1}}
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": {**kind, "nice": not log, "padding": 8},
        **axis,
    }


def series(field: str, title: str, names: Sequence[str]) -> Spec:
    """Return the encoding of a name by colour, in the order of the names."""
    colours = [COLOURS[at % len(COLOURS)] for at in range(len(names))]
    legend = {} if 1 < len(names) <= _LEGEND else {"legend": None}
    return {
        "field": field, "type": "nominal", "title": title, "sort": None,
        "scale": {"domain": list(names), "range": colours}, **legend,
    }  # fmt: skip


def by_number(field: str, title: str, *, form: str | None = None) -> Spec:
    """Return the encoding of a number by a colour from blue to yellow."""
    legend = {"gradientLength": 160, **({} if form is None else {"format": form})}
    return {"field": field, "type": "quantitative", "title": title, "scale": {"scheme": "viridis"}, "legend": legend}


def points(
    rows: Rows, x: Spec, y: Spec, *, colour: Spec | None = None, tooltip: Mapping[str, str], layers: Sequence[Spec] = ()
) -> Spec:
    """Return a chart of genotypes as points, of which one can be chosen.

    Args:
        rows: an object a genotype, with its ``id``.
        x: encoding of the horizontal axis.
        y: of the vertical one.
        colour: of the points.
        tooltip: titles by the fields that are shown when a point is pointed at.
        layers: drawn below the points, such as lines, each with data of its own.
    """
    chosen = {"test": "datum.id === chosen"}
    point: Spec = {
        "mark": {"type": "point", "filled": True, "cursor": "pointer", "strokeWidth": 2.5},
        "encoding": {
            "x": x,
            "y": y,
            "color": colour or {"value": COLOURS[0]},
            "size": {"condition": {**chosen, "value": 260}, "value": 55 if len(rows) <= 200 else 28},
            "opacity": {"condition": {**chosen, "value": 1}, "value": 0.75},
            "stroke": {"condition": {**chosen, "value": COLOURS[1]}, "value": None},
            "tooltip": _tooltip(tooltip),
        },
    }
    return _chart([*layers, point], rows, [{"name": "chosen", "value": ""}])


def lines(
    rows: Rows,
    x: Spec,
    y: Spec,
    *,
    colour: Spec,
    band: tuple[str, str] | None = None,
    marks: bool = False,
    layers: Sequence[Spec] = (),
) -> Spec:
    """Return a chart of lines, one a colour, with a band between two fields of the rows where these are named."""
    drawn: list[Spec] = list(layers)
    if band is not None:
        edges = {"y": {**y, "field": band[0]}, "y2": {"field": band[1]}}
        drawn.append({"mark": {"type": "area", "opacity": 0.15}, "encoding": {"x": x, "color": colour, **edges}})
    tooltip = _tooltip({axis["field"]: axis["title"] for axis in (colour, x, y)})
    line = {"type": "line", "strokeWidth": 1.8, **({"point": {"size": 40}} if marks else {})}
    drawn.append({"mark": line, "encoding": {"x": x, "y": y, "color": colour, "tooltip": tooltip}})
    return _chart(drawn, rows)


def by_group(rows: Rows, x: Spec, y: Spec, *, tooltip: Mapping[str, str]) -> Spec:
    """Return a chart of genotypes in columns, with a bar at the median of each."""
    column = {**x, "type": "ordinal", "axis": {"labelAngle": 0}}
    column.pop("scale", None)
    median: Spec = {
        "mark": {"type": "tick", "thickness": 3, "width": 46, "color": COLOURS[1]},
        "encoding": {"x": column, "y": {**y, "aggregate": "median"}},
    }
    # genotypes of a column stand side by side in no order
    spread = {"xOffset": {"field": "place", "type": "quantitative", "scale": {"domain": [0, 1]}}}
    chart = points(rows, column, y, tooltip=tooltip)
    chart["layer"][-1]["encoding"] |= spread
    chart["layer"].append(median)
    return chart


def segment(ends: Sequence[tuple[float, float]], x: Spec, y: Spec, *, dashed: bool = False) -> Spec:
    """Return a layer: a grey line through some points."""
    rows = [{x["field"]: round(at, 6), y["field"]: round(value, 6)} for at, value in ends]
    mark = {"type": "line", "color": _GREY, "strokeWidth": 1.5, **({"strokeDash": [5, 4]} if dashed else {})}
    return {"data": {"values": rows}, "mark": mark, "encoding": {"x": x, "y": y}}


def level(value: float, y: Spec) -> Spec:
    """Return a layer: a grey line across the chart."""
    mark = {"type": "rule", "color": _GREY, "strokeDash": [5, 4]}
    return {"data": {"values": [{y["field"]: value}]}, "mark": mark, "encoding": {"y": y}}


def whiskers(low: str, high: str, x: Spec, y: Spec, *, along: str) -> Spec:
    """Return a layer: from each point a line between two fields of its row, along the axis x or y."""
    ends = {along: {**(x if along == "x" else y), "field": low}, f"{along}2": {"field": high}}
    return {"mark": {"type": "rule", "color": _GREY, "opacity": 0.6}, "encoding": {"x": x, "y": y, **ends}}


def fitted_line(x: NDArray[np.float64], y: NDArray[np.float64], *, log: bool) -> list[tuple[float, float]]:
    """Return the ends of the line of least squares, over the logarithm of x if asked; none if all x are equal.

    >>> fitted_line(np.array([1.0, 10.0, 100.0]), np.array([1.0, 2.0, 3.0]), log=True)
    [(1.0, 1.0), (100.0, 3.0)]
    """
    if len(x) < 2 or x.min() == x.max():
        return []
    along = np.log10(x) if log else x
    slope, start = np.polyfit(along, y, 1)
    return [(float(x[at]), round(float(start + slope * along[at]), 6)) for at in (x.argmin(), x.argmax())]


def thinned(rows: Rows, values: Sequence[str], most: int = 300) -> list[dict[str, Any]]:
    """Return at most so many rows, each the mean of its neighbours in these fields, and the last of them in others.

    >>> thinned([{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}, {"step": 3, "loss": 1.0}], ["loss"], most=2)
    [{'step': 2, 'loss': 1.5}, {'step': 3, 'loss': 1.0}]
    """
    width = math.ceil(len(rows) / most) or 1
    groups = [rows[at : at + width] for at in range(0, len(rows), width)]
    return [
        {**group[-1], **{name: round(math.fsum(row[name] for row in group) / len(group), 6) for name in values}}
        for group in groups
    ]


def _tooltip(titles: Mapping[str, str]) -> list[Spec]:
    return [{"field": field, "title": title} for field, title in titles.items()]


def _chart(layers: Sequence[Spec], rows: Rows, params: Sequence[Spec] = ()) -> Spec:
    return {
        "$schema": SCHEMA,
        "width": "container",
        "height": _HEIGHT,
        "data": {"values": list(rows)},
        **({"params": list(params)} if params else {}),
        "layer": list(layers),
    }
