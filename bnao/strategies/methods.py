"""The table of strategies: what each is, what it needs, what it costs, and how it is made."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from bnao.strategies.step_level import SearchContext, Strategy


@frozen
class Method:
    """A row of the table.

    Attributes:
        title: its name in the field.
        paper: where it was published.
        rule: in a few words how it decides.
        needs: what it asks of a supernet: paths, several paths, mixtures, their gradient.
        cost: of an update, in those of one path, as text.
        memory: of an update, in those of one path, as text.
        make: makes the strategy; None for those that decide between rounds.
    """

    title: str
    paper: str
    rule: str
    needs: str
    cost: str
    memory: str
    make: Callable[[SearchContext], Strategy] | None = None


#: by the name that ``--strategy`` takes
METHODS: dict[str, Method] = {}
