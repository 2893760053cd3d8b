"""``bnao watch``: where a search or an evaluation stands that another process works on."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import click

from bnao.cli.progress import Track, following, line, telling
from bnao.errors import RunError
from bnao.events import Event
from bnao.locks import is_locked
from bnao.logs import LOG, Follower
from bnao.reporting.folders import Found, found_in, kind_of
from bnao.reporting.watching import plan_of_log
from bnao.run import LOCK, PLAN, check_is_run, understanding

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
    follower = Follower(run)
    plan = plan_of_log(run, kind)
    with understanding(run / PLAN):
        _caught_up(plan, [])
    with understanding(run / LOG):
        track = _caught_up(plan, list(follower.new()))
        standing = {"standing": track.place(), "seconds_left": track.left()}
    if as_json:
        click.echo(json.dumps({**found_in(run).to_json(), **standing}))
        return
    if not once and is_locked(run / LOCK):
        try:
            track = _followed(run, kind, follower, track)
        except KeyboardInterrupt:
            click.echo(f"no longer watched; the work in {run} goes on", err=True)
            return
    click.echo(_end(found_in(run), track))


def _caught_up(plan: Event, events: Sequence[Event]) -> Track:
    """Return a track that has taken in a log up to now, by the seconds that its events tell."""
    spent = sum(float(event.get("seconds", 0.0)) for event in events)
    now = time.monotonic() - spent
    track = Track(now)
    track.update(plan, now)
    for event in events:
        now += float(event.get("seconds", 0.0))
        track.update(event, now)
    return track


def _followed(run: Path, kind: str, follower: Follower, track: Track) -> Track:
    """Show a track until nobody works in the folder any more; return it as it is then."""
    with telling():
        running = True
        while running:
            with following(kind, track) as listen:
                while running and not follower.cut:
                    time.sleep(_INTERVAL)
                    running = is_locked(run / LOCK)  # before the log is read, so that its last lines are seen
                    events = list(follower.new())
                    for event in events if not follower.cut else ():
                        listen(event)
            if follower.cut:  # the work was begun anew from an earlier place
                track, follower.cut = _caught_up(plan_of_log(run, kind), events), False
    return track


def _end(found: Found, track: Track) -> str:
    """Return where the work stands, in a line."""
    return f"{found.state}  {line(track)}" if found.state != "finished" else f"finished  {found.folder}"
