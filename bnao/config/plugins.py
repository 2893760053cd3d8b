"""Names of things that other packages bring: spaces by ``package.module:name`` or by an entry point."""

from __future__ import annotations

import re
from importlib import metadata

#: the group of entry points in which a distribution names its search spaces
SPACE_GROUP = "bnao.spaces"

_REFERENCE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_own_space(name: str) -> bool:
    """Return whether a name can be that of a user's space, which need not exist yet.

    >>> is_own_space("my_package.spaces:dense"), is_own_space("darst")
    (True, False)
    """
    return _REFERENCE.fullmatch(name) is not None or name in metadata.entry_points(group=SPACE_GROUP).names
