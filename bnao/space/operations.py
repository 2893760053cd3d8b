"""Operations of other packages: a name, and a walk over plain layers that every backend makes of it what it needs.

The walk alone says what an operation is. Its parameters, its cost, its part of a supernet and of a stand-alone network,
and its nodes of an ONNX or Keras file follow from it (``bnao.network.walk.Layers`` are the layers it may use).
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from importlib import metadata
from typing import Any

from attrs import field, frozen

from bnao.errors import SpaceError

#: the group of entry points in which a distribution names its operations
OPERATION_GROUP = "bnao.operations"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@frozen
class Operation:
    """An operation of one's own.

    Attributes:
        name: how genotypes call it: letters, digits and underscores.
        walk: called with ``(layers, x, name, channels, stride)``; returns what the operation makes of the state ``x``,
            which has so many channels and gives as many, of half the size at stride 2. Parameters are named
            ``f"{name}.<part>"``, and there are the same ones at either stride; the part of a depthwise kernel begins
            with ``depthwise``, no other does.

    Raises:
        SpaceError: on creation, a name that a genotype cannot have, or a walk that cannot be called.

    >>> def convolution(layers, x, name, channels, stride):
    ...     x = layers.convolution(layers.relu(x), f"{name}.kernel", channels, (3, 3), stride=(stride, stride))
    ...     return layers.norm(x, f"{name}.norm")
    >>> Operation("my_conv_3x3", convolution).name
    'my_conv_3x3'
    """

    name: str
    walk: Callable[..., Any] = field(eq=False)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise SpaceError(
                f"an operation is called {self.name!r}; a name is made of letters, digits and underscores, such as "
                f"my_conv_3x3"
            )
        if not callable(self.walk):
            raise SpaceError(
                f"operation {self.name!r} has the walk {self.walk!r}; it must be a function of layers, x, name, "
                f"channels and stride"
            )


_known: dict[str, Operation | None] = {}


def add_operation(operation: Operation) -> Operation:
    """Make an operation known by its name in this process; a space that is given the operation itself does that.

    Raises:
        SpaceError: it has a name that another operation has.
    """
    known = _known.get(operation.name)
    if known is not None and _origin(known) != _origin(operation):
        raise SpaceError(
            f"operation {operation.name!r} of {_origin(operation)} has the name of another, of {_origin(known)}; "
            f"give it one of its own"
        )
    _known[operation.name] = operation
    return operation


def _origin(operation: Operation) -> str:
    walk = operation.walk
    return f"{getattr(walk, '__module__', '?')}.{getattr(walk, '__qualname__', type(walk).__name__)}"


def own_operation(name: str) -> Operation | None:
    """Return the operation of another package that has this name; None if there is none, as for bnao's own.

    Raises:
        SpaceError: the entry point of that name cannot be imported, or is not an ``Operation`` of that name.
    """
    try:
        return _known[name]
    except KeyError:
        return _known.setdefault(name, _of_entry_point(name))


def _of_entry_point(name: str) -> Operation | None:
    entries = metadata.entry_points(group=OPERATION_GROUP, name=name)
    if not entries:
        return None
    reference = next(iter(entries)).value
    module, _, attribute = reference.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise SpaceError(f"operation {name!r}: cannot import {reference} ({error})") from None
    if not isinstance(found, Operation) or found.name != name:
        of = f"the operation {found.name!r}" if isinstance(found, Operation) else f"of type {type(found).__name__}"
        raise SpaceError(f"operation {name!r}: {reference} is {of}; it must be a bnao.Operation called {name!r}")
    return found


def forget_operations() -> None:
    """Forget all operations that were added or found by an entry point."""
    _known.clear()
