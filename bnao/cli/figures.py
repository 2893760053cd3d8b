"""Figures as people read them: percentages, durations, and signs that a terminal can show."""

from __future__ import annotations

import math
import sys


def duration(seconds: float) -> str:
    """Return seconds as text for people.

    >>> duration(62), duration(3 * 3600 + 62)
    ('1:02', '3:01:02')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def percent(share: float, digits: int = 1) -> str:
    """Return a share as a percentage.

    >>> percent(0.7125), percent(float("nan"))
    ('71.2 %', '-')
    """
    return "-" if math.isnan(share) else f"{100 * share:.{digits}f} %"


def plain_score(score: float, as_share: bool) -> str:
    """Return a score in percent; unchanged if it is not a share of images.

    >>> plain_score(0.7125, as_share=True), plain_score(71.016, as_share=False)
    ('71.2 %', '71.016')
    """
    return percent(score) if as_share else f"{score:.5g}"


def cost_text(value: float, cost: str) -> str:
    """Return what a genotype costs: a latency in milliseconds, or a count.

    >>> cost_text(5.128, "latency"), cost_text(1234567.0, "multiply-adds")
    ('5.13 ms', '1,234,567')
    """
    return f"{value:.3g} ms" if cost == "latency" else f"{value:,.10g}"


def mebibytes(size: int | None) -> str:
    """Return a size in memory as text for people.

    >>> mebibytes(1536 * 2**20), mebibytes(None)
    ('1,536 MiB', '-')
    """
    return "-" if size is None else f"{size / 2**20:,.0f} MiB"


def speaks_unicode() -> bool:
    """Return whether stdout can show more than ASCII."""
    try:
        "│±".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def plus_minus() -> str:
    """Return the sign between a figure and its uncertainty."""
    return "±" if speaks_unicode() else "+-"


def printable(name: str) -> str:
    """Return a user's word as a terminal can show it: what cannot be printed is escaped.

    >>> print(printable("two\\nlines"), printable("café"))
    two\\nlines café
    """
    return name if name.isprintable() else name.encode("unicode_escape").decode()
