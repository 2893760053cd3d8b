"""``bnao watch``: where a search or an evaluation stands that another process works on."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bnao.cli.progress import EvaluationTrack, SearchTrack, Track, following, line, telling
from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import OF_A_BACKEND, SearchConfig
from bnao.errors import RunError
from bnao.reporting.folders import Found, found_in, kind_of
from bnao.reporting.watching import Follower
from bnao.run import check_is_run, is_locked, read_config

# seconds between two looks at the log
_INTERVAL = 1.0


@click.command("watch")
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--once", is_flag=True, help="Print where it stands in a line, and exit.")
@click.option("--json", "as_json", is_flag=True, help="Print where it stands as JSON, and exit.")
def command(run: Path, once: bool, as_json: bool) -> None:
    """Show how far the search or evaluation in the folder RUN is, while another process works on it.

    It shows round, step, loss, learning rate, the best so far and the time that is left, from the log in the folder, in
    which it writes nothing. It ends with the work; Ctrl-C ends it alone.
    """
    check_is_run(run)
    kind = kind_of(run)
    if kind == "study":
        raise RunError(f"{run} is the folder of a study; bnao runs says how far it is")
    watched = _Watched(run, kind)
    watched.catch_up()
    if as_json:
        click.echo(
            json.dumps({**found_in(run).to_json(), "standing": watched.track.place(), "seconds_left": watched.left})
        )
        return
    if once or not is_locked(run):
        click.echo(_end(found_in(run), watched.track))
        return
    try:
        with telling(), following(watched, kind) as listen:
            running = True
            while running:
                time.sleep(_INTERVAL)
                running = is_locked(run)  # before the log is read, so that its last lines are seen
                watched.listen_to(listen)
    except KeyboardInterrupt:
        click.echo(f"no longer watched; the work in {run} goes on", err=True)
        return
    click.echo(_end(found_in(run), watched.track))


def _end(found: Found, track: Track) -> str:
    """Return where the work stands, in a line."""
    return f"{found.state}  {line(track)}" if found.state != "finished" else f"finished  {found.folder}"


class _Watched:
    """A track that is made of a log: of what is in it already by the seconds its events tell, then by the clock."""

    def __init__(self, run: Path, kind: str) -> None:
        self._run, self._kind = run, kind
        self._follower = Follower(run)
        self.track = self._new([])

    def _new(self, events: Sequence[dict[str, Any]]) -> SearchTrack | EvaluationTrack:
        """Return a track that has seen these events."""
        spent = sum(float(event.get("seconds", 0.0)) for event in events)
        now = time.monotonic() - spent
        track: SearchTrack | EvaluationTrack
        if self._kind == "search":
            config = read_config(self._run, SearchConfig)
            # scores are shares of images but in a table; how many images is not in the folder
            images = None if config.machine.backend == "table" else config.training.batch_size
            learns = config.controller.controller in OF_A_BACKEND
            track = SearchTrack(config, learns=learns, scored_images=images, start=now)
        else:
            genotypes = next((int(event["of"]) for event in events if "of" in event), 1)
            track = EvaluationTrack(read_config(self._run, EvaluateConfig), genotypes, now)
        for event in events:
            now += float(event.get("seconds", 0.0))
            track.update(event, now)
        return track

    def catch_up(self) -> None:
        """Take in what is in the log."""
        self.track = self._new(list(self._follower.new()))

    def listen_to(self, listen: Any) -> None:
        """Tell a listener what is new in the log; begin anew where it was cut back."""
        events = list(self._follower.new())
        if self._follower.cut:
            self.track = self._new(events)
            return
        for event in events:
            listen(event)

    # what is followed is the track of the moment

    @property
    def share(self) -> float:
        """Share of the phase that is done."""
        return self.track.share

    def update(self, event: Any, now: float) -> str | None:
        """Take in an event."""
        return self.track.update(event, now)

    def place(self) -> str:
        """Return the current round and phase."""
        return self.track.place()

    def figures(self) -> list[str]:
        """Return the last figures."""
        return self.track.figures()

    @property
    def left(self) -> float | None:
        """The seconds left; None where they are not known yet."""
        return self.track.left()
