"""Settings of the strategies that decide at each update, one file for each kind; defaults are their authors'."""

from __future__ import annotations

from collections.abc import Mapping

#: their names, as ``--strategy`` has them, and the titles of their settings in the help; a section of a search's
#: settings is called as the strategy, with _ for -
TITLES: Mapping[str, str] = {
    "spos": "Single-Path One-Shot",
    "fairnas": "FairNAS",
    "enas": "ENAS",
    "darts": "DARTS",
    "snas": "SNAS",
    "gdas": "GDAS",
    "pc-darts": "PC-DARTS",
    "p-darts": "P-DARTS",
    "fair-darts": "Fair DARTS",
    "darts-minus": "DARTS-",
    "proxyless": "ProxylessNAS",
}
STEP_LEVEL = tuple(TITLES)
#: those of them that score many candidates in the end, of which there is a front; the others derive one genotype
WITH_CANDIDATES = ("spos", "fairnas", "enas")


def section_of(strategy: str) -> str:
    """Return the section of a search's settings that are a strategy's.

    >>> section_of("pc-darts")
    'pc_darts'
    """
    return strategy.replace("-", "_")
