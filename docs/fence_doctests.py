"""An extension of Griffe: the examples in docstrings are code on the API page, not Markdown."""

from __future__ import annotations

import re
from typing import Any

import griffe

# an example begins with >>> and ends before an empty line, as doctest has it
_EXAMPLE = re.compile(r"^( *)>>> .*(?:\n *\S.*)*", re.MULTILINE)


class FenceDoctests(griffe.Extension):
    """Put the examples of each docstring into code fences."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Change a docstring, once it is read from its file."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """Return a docstring whose examples stand in code fences."""
    return _EXAMPLE.sub(lambda found: f"{found[1]}```pycon\n{found[0]}\n{found[1]}```", text)
