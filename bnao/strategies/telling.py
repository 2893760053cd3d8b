"""What a search tells of itself as it goes: to the log in its folder, and to whoever listens."""

from __future__ import annotations

from typing import Any

from bnao.protocols import Event, Listener, State
from bnao.strategies.journal import SearchFolder
from bnao.strategies.result import SearchResult


class Telling:
    """A search that logs its events and tells them.

    Attributes:
        journal: the search's side of its folder.
        listen: is called with every event.
    """

    journal: SearchFolder
    listen: Listener

    def tell_plan(self, plan: Event) -> None:
        """Keep what the search will do, and tell it; it is not logged."""
        self.journal.keep_plan(plan)
        self.listen(plan)

    def tell(self, kind: str, **values: Any) -> None:
        """Log and tell an event of a kind with its values."""
        self.tell_event({"event": kind, **values})

    def tell_event(self, event: Event) -> None:
        """Log and tell an event."""
        self.journal.log(event)
        self.listen(event)

    def finish(self, result: SearchResult, state: State) -> SearchResult:
        """Tell the end, keep the result and the supernet's weights, and return the result."""
        self.tell("end", best=str(result.best), score=result.ranked[0].score)
        self.journal.finish(result.to_json(), state)
        return result
