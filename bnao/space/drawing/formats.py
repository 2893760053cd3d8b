"""A laid out genotype as a file: SVG by the standard library alone, PNG and PDF by matplotlib.

PNG and PDF need matplotlib: ``pip install 'bnao[plot]'``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from bnao.errors import BnaoError, ConfigError, WriteError
from bnao.space.drawing.layout import FONT, HEADING_FONT, Box, Line, Picture, Point

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.path import Path as Curve

FORMATS = ("svg", "png", "pdf")

_POINTS = 72 / 96  # of a pixel, of which an inch has 96
_DPI = 192  # of a PNG: two dots a pixel
_INK = "#000000"
_CORNER = 5.0  # radius; a label and a sum are round
# of a cubic curve that is a quarter of a circle: how far its control points are from its ends, in radii
_ROUND = 0.5523


@frozen
class _Style:
    """Style of a frame or a line: colours, width and, if dashed, the length of a dash and of a gap."""

    stroke: str
    width: float
    fill: str = "#FFFFFF"
    dashes: tuple[float, float] | None = None


_LINES = {
    "edge": _Style("#444444", 1.2),
    "none": _Style("#999999", 1.2, dashes=(4, 3)),
    "output": _Style(_INK, 2.2),
}
# the operations' colours are tints of the Okabe-Ito palette, which the colour-blind can tell apart
_FRAMES = {
    "state": _Style("#444444", 1.0),
    "loose end": _Style(_INK, 2.2),
    "unread": _Style("#999999", 1.0, dashes=(4, 3)),
    "output": _Style("#444444", 1.0, "#EEEEEE"),
}
_ROUND_FRAMES = {
    "sum": _Style("#444444", 1.0),
    "separable": _Style("#0072B2", 1.0, "#D9E9F5"),
    "dilated": _Style("#B0578D", 1.0, "#F6E0EC"),
    "convolution": _Style("#C04A00", 1.0, "#FBE0D2"),
    "pooling": _Style("#B07A00", 1.0, "#FFF1CC"),
    "skip": _Style("#007A58", 1.0, "#D6F0E6"),
    "none": _Style("#999999", 1.0, "#F4F4F4", dashes=(4, 3)),
    "other": _Style("#444444", 1.0),
}


def svg(picture: Picture) -> str:
    """Return a picture as the text of an SVG, the same text for the same picture.

    >>> from bnao.space.genotype import Genotype
    >>> svg(Genotype.parse("0:skip_connect", output="last node").picture()).splitlines()[1:3]
    ['<title>Cell</title>', '<desc>0:skip_connect</desc>']
    """
    return "\n".join(_svg_lines(picture)) + "\n"


def save(picture: Picture, path: str | PathLike[str]) -> None:
    """Write a picture as what the file's suffix says; a file that is there already is replaced.

    Raises:
        ConfigError: a suffix other than .svg, .png and .pdf.
        BnaoError: a PNG or PDF, and matplotlib is not installed.
        WriteError: the file cannot be written.
    """
    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise ConfigError(
            f"{path} is not a valid name for a picture; it must end in {', '.join('.' + each for each in FORMATS)}"
        )
    content = svg(picture).encode() if kind == "svg" else _by_matplotlib(picture, kind)
    try:
        path.write_bytes(content)
    except FileNotFoundError:
        raise WriteError(f"cannot write {path}: there is no folder {path.parent}") from None
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror}") from None


def _way(line: Line) -> tuple[tuple[Point, ...], tuple[Point, Point, Point]]:
    """Return a line's points, and the arrowhead at its end, which hides the end of a thick line."""
    (x, y), width = line.points[-1], 3 + _LINES[line.kind].width / 2
    return (*line.points[:-1], (x - width, y)), ((x, y), (x - 2 * width, y - width), (x - 2 * width, y + width))


def _style(box: Box) -> tuple[_Style, float]:
    """Return the style of a box and the radius of its corners."""
    if box.kind in _FRAMES:
        return _FRAMES[box.kind], _CORNER
    return _ROUND_FRAMES[box.kind], box.height / 2


def _svg_lines(picture: Picture) -> Iterator[str]:
    width, height = _number(picture.width), _number(picture.height)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" font-family="sans-serif" font-size="{_number(FONT)}" style="max-width: 100%; height: auto">'
    )
    yield f"<title>{escape(picture.title)}</title>"
    yield f"<desc>{escape(picture.told)}</desc>"
    yield f'<rect width="{width}" height="{height}" fill="#FFFFFF"/>'
    for line in picture.lines:
        points, head = _way(line)
        curve = f"M{_at(points[:1])} C{_at(points[1:])}"
        yield f'<path class="{line.kind}" d="{curve}" {_stroke(_LINES[line.kind], "none")}/>'
        yield f'<path d="M{_at(head)} Z" fill="{_LINES[line.kind].stroke}"/>'
    for box in (*picture.boxes, *picture.labels):
        style, radius = _style(box)
        yield f'<g class="{escape(box.kind)}"><title>{escape(box.told)}</title>'
        yield (
            f'<rect x="{_number(box.x)}" y="{_number(box.y)}" width="{_number(box.width)}" '
            f'height="{_number(box.height)}" rx="{_number(radius)}" {_stroke(style, style.fill)}/>'
        )
        for text, y in zip(box.lines, box.baselines, strict=True):
            yield f'<text x="{_number(box.middle[0])}" y="{_number(y)}" text-anchor="middle">{escape(text)}</text>'
        yield "</g>"
    for heading in picture.headings:
        yield (
            f'<text x="{_number(heading.x)}" y="{_number(heading.y)}" font-size="{_number(HEADING_FONT)}" '
            f'font-weight="bold">{escape(heading.text)}</text>'
        )
    yield "</svg>"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _at(points: Sequence[Point]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _stroke(style: _Style, fill: str) -> str:
    dashes = "" if style.dashes is None else f' stroke-dasharray="{" ".join(map(_number, style.dashes))}"'
    return f'fill="{fill}" stroke="{style.stroke}" stroke-width="{_number(style.width)}"{dashes}'


def _by_matplotlib(picture: Picture, kind: str) -> bytes:
    try:
        import matplotlib
    except ImportError:
        raise BnaoError(f"a {kind.upper()} needs matplotlib: pip install 'bnao[plot]'; an SVG needs nothing") from None
    content = BytesIO()
    # neither the moment nor the user's style gets into the file
    metadata = {"Title": picture.told} | ({"CreationDate": None} if kind == "pdf" else {})
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["pdf.fonttype"] = 42  # text stays text
        _figure(picture).savefig(content, format=kind, dpi=_DPI, metadata=metadata)
    return content.getvalue()


def _figure(picture: Picture) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path as Curve

    figure = Figure(figsize=(picture.width / 96, picture.height / 96), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, picture.width), ylim=(picture.height, 0))
    axes.set_axis_off()

    def draw(curve: Curve, style: _Style, fill: str) -> None:
        # dashes are measured in widths of the line
        dashes = "solid" if style.dashes is None else (0, tuple(length / style.width for length in style.dashes))
        axes.add_patch(
            PathPatch(curve, facecolor=fill, edgecolor=style.stroke, linewidth=style.width * _POINTS, linestyle=dashes)
        )

    for line in picture.lines:
        points, head = _way(line)
        draw(Curve(points, _codes(points)), _LINES[line.kind], "none")
        axes.add_patch(Polygon(head, facecolor=_LINES[line.kind].stroke, edgecolor="none"))
    # the metric of the layout's texts holds for this font, which comes with matplotlib
    text: dict[str, Any] = {
        "family": "DejaVu Sans",
        "color": _INK,
        "verticalalignment": "baseline",
        "parse_math": False,
    }
    for box in (*picture.boxes, *picture.labels):
        style, radius = _style(box)
        points = _outline(box, radius)
        draw(Curve(points, _codes(points)), style, style.fill)
        for words, y in zip(box.lines, box.baselines, strict=True):
            axes.text(box.middle[0], y, words, fontsize=FONT * _POINTS, horizontalalignment="center", **text)
    for heading in picture.headings:
        axes.text(heading.x, heading.y, heading.text, fontsize=HEADING_FONT * _POINTS, fontweight="bold", **text)
    return figure


def _codes(points: Sequence[Point]) -> list[int]:
    return [1] + [4] * (len(points) - 1)  # matplotlib's MOVETO and CURVE4


def _outline(box: Box, radius: float) -> tuple[Point, ...]:
    """Return a rectangle with round corners as cubic curves, from the upper left corner clockwise."""
    left, top, right, bottom, far = box.x, box.y, box.right, box.y + box.height, radius * (1 - _ROUND)
    corners = (
        ((left, top + radius), (left, top + far), (left + far, top), (left + radius, top)),
        ((right - radius, top), (right - far, top), (right, top + far), (right, top + radius)),
        ((right, bottom - radius), (right, bottom - far), (right - far, bottom), (right - radius, bottom)),
        ((left + radius, bottom), (left + far, bottom), (left, bottom - far), (left, bottom - radius)),
    )
    points = list(corners[0])
    for corner in (*corners[1:], corners[0][:1]):
        points += [points[-1], corner[0], corner[0], *corner[1:]]
    return tuple(points)
