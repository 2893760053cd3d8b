"""Trackers: figures of a search, an evaluation or a study in TensorBoard, MLflow, Weights & Biases or a CSV file.

A tracker is a listener: it is called with every event, and writes the numbers in it under the name of what they are of.
"""

from __future__ import annotations

import csv
import importlib.util
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from attrs import frozen

from bnao.errors import BnaoError, ConfigError, WriteError
from bnao.events import Event

#: numbers that say where an event is, not what was measured there
_PLACES = frozenset({
    "round", "rounds", "step", "steps", "epoch", "epochs", "genotype", "genotypes", "of", "repeat", "seed", "length",
    "trained", "scored", "known", "learned_from", "n", "duplicates", "proposals", "number", "size", "search",
})  # fmt: skip
#: events of which there are many, whose numbers other events sum up
_LEFT_OUT = frozenset({"plan", "score", "scored", "pool", "probed", "exhausted", "end"})


@frozen
class Figure:
    """A number at a step.

    Attributes:
        name: of what it is; parts are divided by slashes.
        value: finite.
        step: where it was measured, from 1.
    """

    name: str
    value: float
    step: int


def figures(event: Event) -> list[Figure]:
    """Return the numbers of an event that are worth a curve; none of events that measure nothing.

    Steps of the supernet count over the rounds of a search.

    >>> figures({"event": "step", "round": 2, "step": 3, "steps": 10, "loss": 0.5, "genotype": 4})
    [Figure(name='supernet/loss', value=0.5, step=13)]
    >>> figures({"event": "pool", "round": 1, "genotypes": 20})
    []
    """
    if event["event"] in _LEFT_OUT:
        return []
    group, step = _place(event)
    prefix = f"{event['sizes']}/" if "sizes" in event else ""
    # what a strategy and its alarms say of an epoch has names of its own
    values = {**event, **event["figures"]} if "figures" in event else event
    return [
        Figure(f"{prefix}{group}/{name}", float(value), step)
        for name, value in values.items()
        if name not in _PLACES and isinstance(value, int | float) and math.isfinite(value)
    ]


def _place(event: Event) -> tuple[str, int]:
    """Return what an event is of, and its step there."""
    kind = str(event["event"])
    if kind == "step" and "sampler" in event:
        return f"supernet/{event['sampler']}-seed-{event['seed']}-epochs-{event['length']}", event["step"]
    if kind in ("update", "look"):
        return ("supernet", event["step"]) if kind == "update" else ("strategy", event["epoch"])
    if kind == "step" and "round" in event:
        return "supernet", (event["round"] - 1) * event["steps"] + event["step"]
    if kind == "step":
        return f"training/{event['genotype']}-{event['repeat']}", (event["epoch"] - 1) * event["steps"] + event["step"]
    if kind == "epoch":
        return f"epoch/{event['genotype']}-{event['repeat']}", event["epoch"]
    if kind == "trained":
        return f"tested/{event['repeat']}", event["genotype"]
    if kind == "alone":
        return f"alone/round-{event['round']}-{event['genotype']}", event["epoch"]
    if kind == "short_epoch":
        return f"short/{event['genotype']}-seed-{event['seed']}-epochs-{event['epochs']}", event["epoch"]
    if kind == "short":
        return f"short/seed-{event['seed']}-epochs-{event['epochs']}", event["genotype"]
    if kind == "controller":
        return f"controller/round-{event['round']}", event["epoch"]
    named: Mapping[str, str] = {
        "measured": "controller/held-out",
        "proposals": "controller/proposals",
        "round": "search",
    }
    return named.get(kind, kind), int(
        event.get("round", event.get("trained", event.get("number", event.get("search", 0))))
    )


class Writer(Protocol):
    """Where figures go."""

    def write(self, figure: Figure) -> None:
        """Take in a figure."""
        ...

    def close(self) -> None:
        """End it; what was written is kept."""
        ...


class Tracker:
    """A listener that writes the figures of events; ``close`` it, or use it in a ``with`` statement.

    Args:
        writers: where figures go.

    >>> class Printed:
    ...     def write(self, figure):
    ...         print(figure.name, figure.value)
    ...     def close(self):
    ...         print("end")
    >>> with Tracker([Printed()]) as track:
    ...     track({"event": "round", "round": 1, "rounds": 4, "best": 0.75, "genotype": "..."})
    search/best 0.75
    end
    """

    def __init__(self, writers: Sequence[Writer]) -> None:
        self._writers = list(writers)

    def __call__(self, event: Event) -> None:
        for figure in figures(event) if self._writers else ():
            for writer in self._writers:
                writer.write(figure)

    def close(self) -> None:
        """End all writers."""
        while self._writers:
            self._writers.pop().close()

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def tracker(
    names: str | Sequence[str],
    folder: str | Path,
    settings: Mapping[str, Any] | None = None,
    *,
    title: str | None = None,
) -> Tracker:
    """Return a tracker, of which ``listen`` of ``bnao.search`` and others may be made.

    Args:
        names: one or more of ``csv`` (track.csv in the folder), ``tensorboard`` (event files in its folder
            tensorboard), ``mlflow`` (where MLFLOW_TRACKING_URI says, else its file mlflow.db) and ``wandb`` (in its
            folder wandb; online or not as WANDB_MODE says).
        folder: of the run; it is made if it is not there.
        settings: that the run's page in the tracker shows, nested or not.
        title: of the run there; by default the folder's name.

    Raises:
        ConfigError: no tracker of that name.
        BnaoError: what it needs is not installed.
        WriteError: the folder cannot be written.
    """
    chosen = (names,) if isinstance(names, str) else tuple(names)
    check_trackers(chosen)
    folder = Path(folder)
    flat = dict(_flat(settings or {}))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Tracker([TRACKERS[name].open(folder, flat, title or folder.resolve().name) for name in chosen])
    except OSError as error:
        raise WriteError(f"cannot write in {folder}: {error.strerror}") from None


def check_trackers(names: Sequence[str]) -> None:
    """Raise if one of the trackers is not known, or lacks what it needs, without loading any.

    Raises:
        ConfigError: no tracker of that name.
        BnaoError: what it needs is not installed.
    """
    for name in names:
        if name not in TRACKERS:
            raise ConfigError(f"no tracker {name!r}; there is {', '.join(TRACKERS)}")
        needs = TRACKERS[name].needs
        if needs is not None and importlib.util.find_spec(needs) is None:
            raise BnaoError(f"tracker {name!r} needs {needs}: {TRACKERS[name].hint}")


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


# --- the writers


class CsvWriter:
    """Rows of name, step and value in track.csv; a run that goes on adds to it."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], title: str) -> None:
        path = folder / "track.csv"
        begun = path.is_file() and path.stat().st_size > 0
        self._file = open(path, "a", encoding="utf-8", newline="", buffering=1)  # noqa: SIM115  # closed by close
        self._rows = csv.writer(self._file, lineterminator="\n")
        if not begun:
            self._rows.writerow(["name", "step", "value"])

    def write(self, figure: Figure) -> None:
        """Add a row."""
        self._rows.writerow([figure.name, figure.step, repr(figure.value)])

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class TensorBoardWriter:
    """Scalars in event files, which ``tensorboard --logdir`` shows, by tensorboardX."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], title: str) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"))
        lines = [f"| {name} | {value} |" for name, value in settings.items()]
        if lines:
            self._writer.add_text("settings", "\n".join(["| setting | value |", "| --- | --- |", *lines]))

    def write(self, figure: Figure) -> None:
        """Add a scalar."""
        self._writer.add_scalar(figure.name, figure.value, figure.step)

    def close(self) -> None:
        """Close the files."""
        self._writer.close()


class MLflowWriter:
    """Metrics and parameters of a run in the experiment bnao, where MLFLOW_TRACKING_URI says or in mlflow.db here."""

    #: metrics that are sent at once, since each request takes some milliseconds
    AT_ONCE = 100

    def __init__(self, folder: Path, settings: Mapping[str, Any], title: str) -> None:
        from mlflow.tracking import MlflowClient

        place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(folder / 'mlflow.db').resolve()}"
        self._client = MlflowClient(tracking_uri=place)
        self._waiting: list[Any] = []
        known = self._client.get_experiment_by_name("bnao")
        experiment = known.experiment_id if known is not None else self._client.create_experiment("bnao")
        self._run = self._client.create_run(experiment, tags={"mlflow.runName": title}).info.run_id
        for name, value in settings.items():
            self._client.log_param(self._run, name, value)

    def write(self, figure: Figure) -> None:
        """Log a metric, with others."""
        from mlflow.entities import Metric

        self._waiting.append(Metric(figure.name, figure.value, int(1000 * time.time()), figure.step))
        if len(self._waiting) >= self.AT_ONCE:
            self._send()

    def _send(self) -> None:
        self._client.log_batch(self._run, metrics=self._waiting)
        self._waiting = []

    def close(self) -> None:
        """Log what waits, and mark the run as ended."""
        self._send()
        self._client.set_terminated(self._run)


class WandbWriter:
    """History and config of a run in the project bnao; each group of figures has a step of its own."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], title: str) -> None:
        import wandb

        self._run = wandb.init(project="bnao", name=title, dir=str(folder), config=dict(settings))
        self._known: set[str] = set()

    def write(self, figure: Figure) -> None:
        """Log a figure beside its step."""
        group = figure.name.rpartition("/")[0]
        step = f"{group}/step"
        if group not in self._known:
            self._known.add(group)
            self._run.define_metric(step, hidden=True)
            self._run.define_metric(f"{group}/*", step_metric=step)
        self._run.log({figure.name: figure.value, step: figure.step})

    def close(self) -> None:
        """End the run."""
        self._run.finish()


@frozen
class _Kind:
    """A kind of tracker: how it is opened, the package it needs, and how that is installed."""

    open: Callable[[Path, Mapping[str, Any], str], Writer]
    needs: str | None = None
    hint: str = ""


#: every tracker by its name
TRACKERS: Mapping[str, _Kind] = {
    "csv": _Kind(CsvWriter),
    "tensorboard": _Kind(TensorBoardWriter, "tensorboardX", "pip install 'bnao[tensorboard]'"),
    "mlflow": _Kind(MLflowWriter, "mlflow", "pip install mlflow-skinny sqlalchemy alembic"),
    "wandb": _Kind(WandbWriter, "wandb", "pip install 'bnao[wandb]'"),
}
