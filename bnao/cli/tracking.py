"""The option ``--track``: figures of the work in trackers, beside what is shown of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from bnao.config.fields import to_settings
from bnao.protocols import Event, Listener
from bnao.reporting.trackers import TRACKERS, check_trackers, tracker


def _known(context: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the trackers once each; what they lack is found before anything is made."""
    check_trackers(names)
    return tuple(dict.fromkeys(names))


#: the option ``--track``
track_option = click.option(
    "--track", "trackers", multiple=True, type=click.Choice(list(TRACKERS)), callback=_known,
    help="Write losses, rates, scores and errors as they come: to track.csv or TensorBoard's files in the folder, to "
    "MLflow or to Weights & Biases. Can be given several times.",
)  # fmt: skip


@contextmanager
def tracked(trackers: Sequence[str], folder: Path, config: Any, listen: Listener) -> Iterator[Listener]:
    """Yield a listener that tells trackers every event, and then another listener."""
    if not trackers:
        yield listen
        return
    with tracker(trackers, folder, to_settings(config)) as track:

        def both(event: Event) -> None:
            track(event)
            listen(event)

        yield both
