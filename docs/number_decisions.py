"""Number the rows of docs/decisions.md: a row without a number gets the next one; a number that is given stays.

python docs/number_decisions.py
"""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parent / "decisions.md"

_NUMBERED = re.compile(r'\| <a id="d(\d+)"></a>D\1 \| ')
_OPENINGS = ("| question | decision |", "| | question | decision |")


def numbered(page: str) -> str:
    """Return the page with a number, which is also an anchor, in front of each row of its table.

    >>> page = '| | question | decision | where |\\n| --- | --- | --- | --- |\\n| Q | A | `m.py` |\\n'
    >>> print(numbered(page))
    | | question | decision | where |
    | --- | --- | --- | --- |
    | <a id="d1"></a>D1 | Q | A | `m.py` |
    <BLANKLINE>
    """
    lines = page.split("\n")
    first = next(i for i, line in enumerate(lines) if line.startswith(_OPENINGS))
    end = next(i for i in range(first, len(lines)) if not lines[i].startswith("|"))
    lines[first : first + 2] = ["| | question | decision | where |", "| --- | --- | --- | --- |"]
    last = max((int(found[1]) for found in map(_NUMBERED.match, lines[first + 2 : end]) if found), default=0)
    for i in range(first + 2, end):
        if not _NUMBERED.match(lines[i]):
            last += 1
            lines[i] = f'| <a id="d{last}"></a>D{last} {lines[i]}'
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(numbered(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(PAGE)
