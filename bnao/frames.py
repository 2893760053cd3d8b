"""Results as data frames of pandas, for those who have it: ``pip install pandas``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bnao.errors import BnaoError

if TYPE_CHECKING:
    from pandas import DataFrame

HINT = "a data frame needs pandas: pip install pandas"


def frame(rows: Sequence[Mapping[str, Any]]) -> DataFrame:
    """Return rows of named values as a data frame.

    Raises:
        BnaoError: pandas is not installed.
    """
    try:
        from pandas import DataFrame
    except ImportError:
        raise BnaoError(HINT) from None
    return DataFrame([dict(row) for row in rows])
