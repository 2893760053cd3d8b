"""Content of a report as plain data: sections of text, tables and charts, which ``page`` lays out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from bnao.metrics import Estimate
from bnao.space.genotype import Genotype

#: rows of a table and points of a chart that a page has at most
MOST = 1000


@frozen
class Value:
    """An entry of a table.

    Attributes:
        text: as people read it.
        order: what the table sorts by; None comes last.
    """

    text: str
    order: float | str | None

    @property
    def is_number(self) -> bool:
        """Whether it is right-aligned."""
        return not isinstance(self.order, str)


#: where a table has no value
NOTHING = Value("-", None)


def words(text: str) -> Value:
    """Return a text as an entry."""
    return Value(text, text)


def number(value: float | None, form: str = ",") -> Value:
    """Return a number as an entry; none where it is None or not a number.

    >>> number(1234567).text, number(0.25, ".1f").text, number(None).text
    ('1,234,567', '0.2', '-')
    """
    return NOTHING if value is None or math.isnan(value) else Value(format(value, form), float(value))


def share(value: float | None, error: float | None = None, digits: int = 1) -> Value:
    """Return a share in percent, with its error where there is one.

    >>> share(0.7767, 0.017).text
    '77.7 ± 1.7 %'
    """
    if value is None or math.isnan(value):
        return NOTHING
    within = "" if error is None or math.isnan(error) else f" ± {100 * error:.{digits}f}"
    return Value(f"{100 * value:.{digits}f}{within} %", value)


def estimate(value: Estimate) -> Value:
    """Return a figure with its interval.

    >>> estimate(Estimate(0.5, 0.25, 0.75, 20, 0.95)).text
    '0.500 [0.250, 0.750]'
    """
    return NOTHING if math.isnan(value.value) else Value(str(value), value.value)


@frozen
class Table:
    """A table that readers sort.

    Attributes:
        title: above it.
        heads: of the columns.
        rows: of as many entries each.
        genotypes: the id of each row's genotype, which its first entry selects; empty: rows are of no genotypes.
    """

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Value]]
    genotypes: Sequence[str] = ()


@frozen
class Chart:
    """A chart.

    Attributes:
        title: above it.
        about: what it shows, for those who do not see it and below it for all.
        spec: in Vega-Lite, its data included.
        wide: whether it takes the page's whole width.
    """

    title: str
    about: str
    spec: Mapping[str, Any]
    wide: bool = False


@frozen
class Section:
    """A part of a report, in the order: paragraphs, alarms, charts, tables, drawn cells, a folded text."""

    title: str
    paragraphs: Sequence[str] = ()
    alarms: Sequence[str] = ()
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()
    drawn: Sequence[str] = ()
    folded: tuple[str, str] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.paragraphs or self.alarms or self.charts or self.tables or self.drawn or self.folded)


@frozen
class Report:
    """What a page says of one folder.

    Attributes:
        kind: search, evaluation or study.
        name: of the folder.
        title: what it is.
        facts: a few figures with their names, the most important first.
        sections: of which empty ones are left out.
        genotypes: those that can be selected, by id.
        about: lines on each of them, by id.
        raw: the numbers of its files by the files' names.
    """

    kind: str
    name: str
    title: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    genotypes: Mapping[str, Genotype] = field(factory=dict)
    about: Mapping[str, str] = field(factory=dict)
    raw: Mapping[str, Any] = field(factory=dict)
