"""Search spaces of other packages, named by ``package.module:name`` or by an entry point of the group bnao.spaces."""

from __future__ import annotations

import importlib
from functools import cache
from importlib import metadata

from attrs import evolve

from bnao.config.plugins import SPACE_GROUP
from bnao.errors import SpaceError
from bnao.space.genotype import OUTPUT_RULES
from bnao.space.operations import own_operation
from bnao.space.spaces import SPACES, CompleteSpace, SearchSpace

#: the operations that every backend has
OPERATIONS = tuple(sorted({operation for space in SPACES.values() for operation in space.operations}))


@cache
def own_space(name: str) -> SearchSpace | None:
    """Return the space of another package, with the name that settings and files know it by.

    Args:
        name: ``package.module:attribute``, or that of an entry point.

    Returns:
        None if the name is neither.

    Raises:
        SpaceError: it cannot be imported, is not a ``SearchSpace``, or is one that no network can be made for.
    """
    reference = name
    if ":" not in name:
        entries = metadata.entry_points(group=SPACE_GROUP, name=name)
        if not entries:
            return None
        reference = next(iter(entries)).value
    module, _, attribute = reference.partition(":")
    try:
        space = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise SpaceError(
            f"space {name!r}: cannot import {module} ({error}); install it, or name its folder in PYTHONPATH"
        ) from None
    except AttributeError:
        raise SpaceError(f"space {name!r}: {module} has no {attribute!r}") from None
    if not isinstance(space, SearchSpace):
        raise SpaceError(f"space {name!r} is of type {type(space).__name__}; it must be a bnao.SearchSpace")
    return evolve(_checked(space, name), name=name)


def _checked(space: SearchSpace, name: str) -> SearchSpace:
    """Return the space if networks can be made of it.

    Raises:
        SpaceError: they cannot; it says what would be right.
    """
    for operation in space.operations:
        own = own_operation(operation)
        if own is not None and operation in OPERATIONS:
            raise SpaceError(f"space {name!r} has an operation of its own called {operation!r}, as one of bnao's is")
        if own is None and operation not in OPERATIONS:
            raise SpaceError(
                f"space {name!r} has the operation {operation!r}; there is {', '.join(OPERATIONS)}, and any "
                f"bnao.Operation"
            )
    if len(set(space.operations)) < len(space.operations) or len(space.operations) < 2:
        raise SpaceError(
            f"space {name!r} has {len(set(space.operations))} different operations; give two or more, once each"
        )
    if space.rules.output not in OUTPUT_RULES:
        raise SpaceError(f"space {name!r} gives out {space.rules.output!r}; it can be {', '.join(OUTPUT_RULES)}")
    complete = isinstance(space, CompleteSpace)
    shape = (space.inputs, space.cells, space.rules.residual, space.rules.output == "last node")
    if shape != ((1, 1, True, True) if complete else (2, 2, False, False)):
        raise SpaceError(
            f"space {name!r} has {space.inputs} inputs, {space.cells} cells, output {space.rules.output!r} and "
            f"residual {space.rules.residual}; a SearchSpace has 2 inputs and 2 cells, a CompleteSpace 1 and 1 with "
            f"Rules('last node', residual=True)"
        )
    edges = space.inputs + space.nodes - 1 if complete else 2
    if space.edges != edges:
        raise SpaceError(f"space {name!r} has nodes of {space.edges} edges; here it must be {edges}")
    return space
