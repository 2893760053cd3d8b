"""In which column, order and height the states of a drawn cell stand, so that no line meets what it does not end at.

A cell is drawn in layers (Sugiyama, Tagawa and Toda 1981): a state stands one column behind the last that it reads,
and passes the columns between itself and its readers as a line with a place of its own. Whatever stands in a column
thus has a height of its own there, and lines change their height only between columns, where nothing stands.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from itertools import pairwise

from attrs import define, frozen

_GAP = 12.0  # least distance of what stands in one column, pixels
_SWEEPS = 12  # how often the columns are gone through, there and back, to order them
_SETTLING = 40  # and to settle their heights
_STRAIGHT = 8.0  # how much more a passing line's wish counts, which is to be straight


@frozen
class Port:
    """Where a line enters: the state it comes from, the operation on it, and the label it passes, if any."""

    source: int
    operation: str = ""
    label: str = ""
    told: str = ""


@define(eq=False)
class Place:
    """Entry of a column: a state with all that it reads, or the line of a state that passes.

    Args:
        state: its number.
        ports: what it reads, one under the other; the order is free.
        pitch: from a port to the next, pixels.
        height: how much it needs, pixels; nothing, if it is a line that passes.
        y: the height of its middle, pixels downwards.
    """

    state: int
    ports: list[Port]
    pitch: float = 0.0
    height: float = 0.0
    y: float = 0.0

    @property
    def passes(self) -> bool:
        """Whether it is a line that passes."""
        return not self.height

    def port_y(self, number: int) -> float:
        """Return the height of a port."""
        return self.y + self._offset(number)

    def _offset(self, number: int) -> float:
        return self.pitch * (number - (len(self.ports) - 1) / 2)


Column = list[Place]


def arrange(places: Sequence[Place]) -> list[Column]:
    """Arrange states in columns from left to right, each from top to bottom, with the lines that pass them.

    Args:
        places: every state's, a state being its place in the sequence, behind all that it reads. What reads nothing
            stands in the first column in the order given, and the last state alone in the last column.

    >>> chain = [Place(0, [], height=20), Place(1, [Port(0)], height=20), Place(2, [Port(0), Port(1)], height=20)]
    >>> [[(place.state, place.passes) for place in column] for column in arrange(chain)]
    [[(0, False)], [(1, False), (0, True)], [(2, False)]]
    """
    columns = _columns(places)
    _order(columns)
    _settle(columns)
    _straighten(columns)
    return columns


def _columns(places: Sequence[Place]) -> list[Column]:
    column_of: list[int] = []
    for place in places:
        column_of.append(1 + max((column_of[port.source] for port in place.ports), default=-1))
    column_of[-1] = max(column_of[-1], 1 + max(column_of[:-1], default=-1))
    columns: list[Column] = [[] for _ in range(column_of[-1] + 1)]
    last_read = list(column_of)
    for place, number in zip(places, column_of, strict=True):
        columns[number].append(place)
        for port in place.ports:
            last_read[port.source] = max(last_read[port.source], number)
    for place, number in zip(places, column_of, strict=True):
        for passed in columns[number + 1 : last_read[place.state]]:
            passed.append(Place(place.state, [Port(place.state)]))
    return columns


def _order(columns: Sequence[Column]) -> None:
    """Bring columns, and every place's ports, into an order with few crossings: by means, then by exchanges."""
    best = [list(column) for column in columns]
    for _ in range(_SWEEPS):
        for before, column in pairwise(columns):
            position = _positions(before)
            _sort_by_means(column, {place.state: [position[port.source] for port in place.ports] for place in column})
        best = min(best, [list(column) for column in columns], key=_crossings)
        for column, behind in reversed(list(pairwise(columns[1:]))):
            sources = [port.source for place in behind for port in place.ports]
            readers = {
                place.state: [at for at, source in enumerate(sources) if source == place.state] for place in column
            }
            _sort_by_means(column, readers)
        best = min(best, [list(column) for column in columns], key=_crossings)
    for column, order in zip(columns, best, strict=True):
        column[:] = order
    _exchange(columns)
    for before, column in pairwise(columns):
        position = _positions(before)
        for place in column:
            place.ports.sort(key=lambda port: (position[port.source], port.operation))


def _positions(column: Column) -> dict[int, int]:
    return {place.state: at for at, place in enumerate(column)}


def _sort_by_means(column: Column, neighbours: Mapping[int, Sequence[int]]) -> None:
    """Order a column by the mean position of each place's neighbours; what has none keeps its place in the order."""
    free = iter(
        sorted((place for place in column if neighbours[place.state]), key=lambda place: _mean(neighbours[place.state]))
    )
    column[:] = [next(free) if neighbours[place.state] else place for place in column]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _crossings(columns: Sequence[Column]) -> int:
    """Return the number of crossing lines, with each place's ports in their best order."""
    crossings = 0
    for before, column in pairwise(columns):
        position = _positions(before)
        passed: list[int] = []
        for place in column:
            starts = [position[port.source] for port in place.ports]
            crossings += sum(len(passed) - bisect_right(passed, start) for start in starts)
            for start in starts:
                insort(passed, start)
    return crossings


def _exchange(columns: Sequence[Column]) -> None:
    """Exchange neighbours in the columns behind the inputs for as long as crossings go away."""
    fewer = True
    while fewer:
        fewer = False
        for number, column in enumerate(columns[1:], start=1):
            around = columns[number - 1 : number + 2]
            crossings = _crossings(around)
            for at in range(len(column) - 1):
                column[at : at + 2] = column[at + 1], column[at]
                if (then := _crossings(around)) < crossings:
                    crossings, fewer = then, True
                else:
                    column[at : at + 2] = column[at + 1], column[at]


def _settle(columns: Sequence[Column]) -> None:
    """Give every place its height: near what it reads and what reads it, in order and apart."""
    links: dict[Place, list[tuple[Place, float, float]]] = {place: [] for column in columns for place in column}
    for before, column in pairwise(columns):
        source = {place.state: place for place in before}
        for place in column:
            weight = _STRAIGHT if place.passes else 1.0
            for number, port in enumerate(place.ports):
                links[place].append((source[port.source], -place._offset(number), weight))
                links[source[port.source]].append((place, place._offset(number), weight))
    for column in columns:
        _spread(column, [(0.0, 1.0)] * len(column))
    for _ in range(_SETTLING):
        for column in columns:
            _spread(column, [_wish(place, links[place]) for place in column])


def _wish(place: Place, links: Sequence[tuple[Place, float, float]]) -> tuple[float, float]:
    """Return the height that a place wishes for, and how much its wish counts."""
    if not links:
        return place.y, 1.0
    total = sum(weight for _, _, weight in links)
    return sum(weight * (other.y + offset) for other, offset, weight in links) / total, total


def _spread(column: Column, wishes: Sequence[tuple[float, float]]) -> None:
    """Put places where they wish to be as nearly as order and distance allow, by weighted squares.

    With the distances that must lie between taken off, that is isotonic regression: neighbours that would come into
    the wrong order are pooled.
    """
    offsets = [0.0]
    for above, below in pairwise(column):
        offsets.append(offsets[-1] + _apart(above, below))
    pools: list[tuple[float, float, int]] = []  # height, weight, how many places
    for (wish, weight), offset in zip(wishes, offsets, strict=True):
        height, count = wish - offset, 1
        while pools and pools[-1][0] > height:
            other, heavy, many = pools.pop()
            height = (other * heavy + height * weight) / (heavy + weight)
            weight, count = heavy + weight, many + count
        pools.append((height, weight, count))
    heights = [height for height, _, count in pools for _ in range(count)]
    for place, height, offset in zip(column, heights, offsets, strict=True):
        place.y = height + offset


def _apart(above: Place, below: Place) -> float:
    """Return the least distance of the middles of neighbours in a column."""
    return (above.height + below.height) / 2 + _GAP


def _straighten(columns: Sequence[Column]) -> None:
    """Bring passing lines to the height of the state that they come from, as far as there is room."""
    for number, column in enumerate(columns):
        for start in column:
            if not start.passes:
                _level(
                    start.y,
                    [rooms[start.state] for rooms in map(_rooms, columns[number + 1 :]) if start.state in rooms],
                )


def _rooms(column: Column) -> dict[int, tuple[Place, float, float]]:
    """Return the lines that pass a column, and between which heights each may do so."""
    lowest = [-math.inf, *(above.y + _apart(above, below) for above, below in pairwise(column))]
    highest = [*(below.y - _apart(above, below) for above, below in pairwise(column)), math.inf]
    return {room[0].state: room for room in zip(column, lowest, highest, strict=True) if room[0].passes}


def _level(height: float, rooms: Sequence[tuple[Place, float, float]]) -> None:
    """Level the longest way that has room at one height, near the height before, and so on with the rest."""
    while rooms:
        (_, low, high), count = rooms[0], 1
        for _, lowest, highest in rooms[1:]:
            if max(low, lowest) > min(high, highest):
                break
            low, high, count = max(low, lowest), min(high, highest), count + 1
        height = min(max(height, low), high)
        for place, _, _ in rooms[:count]:
            place.y = height
        rooms = rooms[count:]
