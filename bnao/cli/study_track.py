"""Where a ranking study stands: its stand-alone trainings, its supernets, and the time left."""

from __future__ import annotations

from bnao.cli.figures import percent
from bnao.cli.progress import Smoothed, Speeds, figures_text
from bnao.config.studies import StudyConfig
from bnao.protocols import Event


class StudyTrack:
    """Where a ranking study stands.

    Args:
        config: the study's settings.
        genotypes: how many are ranked.
        trains: whether their truth is trained.
        alone_steps: steps of an epoch of a stand-alone training.
        supernet_steps: steps of a supernet's epoch.
        short_steps: steps of an epoch of a short stand-alone training.
        scored_images: images a one-shot score is the accuracy on.
        start: the time now, seconds.
    """

    def __init__(
        self,
        config: StudyConfig,
        genotypes: int,
        *,
        trains: bool,
        alone_steps: int,
        supernet_steps: int,
        short_steps: int,
        scored_images: int,
        start: float,
    ) -> None:
        self.genotypes, self.share, self._place = genotypes, 0.0, "starting"
        self.loss: float | None = None
        self.rate: float | None = None
        batches = scored_images / config.training.batch_size
        self.speeds = Speeds(
            {
                "score": (batches / 3, "step"),
                "step": (1 / alone_steps, "epoch"),
                "short_epoch": (short_steps, "step"),
            }
        )
        self._config, self._last, self._smooth, self._scored = config, start, Smoothed(), 0
        self._sets, self._set = len(config.sizes), 0
        # the loops of a study, once more: its supernets and the lengths of its short trainings, for each set
        self._planned, self._supernets, self._epoch_steps = self._sets * config.supernets, 0, supernet_steps
        self._short_done = 0
        self._left: dict[str, float] = {
            "epoch": self._sets * genotypes * config.repeats * config.alone_epochs * trains,
            "step": self._steps_from(0),
            "score": self._scores_from(0),
            "short_epoch": self._sets * genotypes * config.seeds * sum(config.short),
        }

    def update(self, event: Event, now: float) -> str | None:
        """Take in an event of ``bnao.studies.ranking``."""
        kind, units, told = event["event"], 1, None
        config = self._config
        if kind in ("epoch", "trained"):
            trainings = self._set * config.repeats * event["of"]
            trainings += (event["repeat"] - 1) * event["of"] + event["genotype"] - 1
            name = f"{self._of_set}alone  genotype {event['genotype']}/{event['of']}"
            if config.repeats > 1:
                name += f"  repeat {event['repeat']}/{config.repeats}"
            done = trainings * config.alone_epochs
            if kind == "epoch":
                self.loss, self.rate = event["loss"], event["rate"]
                done += event["epoch"]
                self._place = f"{name}  epoch {event['epoch']}/{config.alone_epochs}"
            else:
                done += config.alone_epochs
                told = f"{name}  test error {percent(event['test_error'], 2)}{_from_store(event)}"
            total = self._sets * event["of"] * config.repeats * config.alone_epochs
            self.share, self._left["epoch"] = done / total, total - done
            return self._told(told, kind, units, now)
        if kind in ("short_epoch", "short"):
            name = (
                f"{self._of_set}alone for {event['epochs']} epoch{'s' * (event['epochs'] > 1)}  "
                f"genotype {event['genotype']}/{event['of']}, seed {event['seed']}"
            )
            total = self._sets * event["of"] * config.seeds * sum(config.short)
            if kind == "short_epoch":
                self.loss, self.rate = event["loss"], event["rate"]
                done = self._short_done + event["epoch"]
                self._place = f"{name}  epoch {event['epoch']}"
            else:
                done = self._short_done = self._short_done + event["epochs"]
                told = f"{name}  dev error {percent(event['error'], 2)}{_from_store(event)}"
            self.share, self._left["short_epoch"] = done / total, total - done
            return self._told(told, kind, units, now)
        if kind == "step":
            self.loss, self.rate = self._smooth.add(event["loss"]), event["rate"]
            self._place = f"{self._name(event)}  step {event['step']}/{event['steps']}"
            self.share = event["step"] / event["steps"]
            self._epoch_steps = event["steps"] // self._planned[self._supernets].epochs[-1]
            self._left["step"] = self._steps_from(self._supernets) - event["step"]
        elif kind == "score":
            units = event["scored"] - self._scored
            self._scored = event["scored"] % event["of"]
            self._left["score"] = max(0, self._left["score"] - units)
            self._place = f"{self._name(event)}  epoch {event['epochs']}  scored {event['scored']}/{event['of']}"
            self.share = event["scored"] / event["of"]
        elif kind == "supernet":
            self._supernets += 1
            self._smooth = Smoothed()
            self._left |= {"step": self._steps_from(self._supernets), "score": self._scores_from(self._supernets)}
            told = f"{self._of_set}supernet {self._supernets}/{len(self._planned)}  {_supernet(event)}: done"
        elif kind == "end":
            self._set += 1
        return self._told(told, kind, units, now)

    @property
    def _of_set(self) -> str:
        """The set that is studied, where there are several."""
        return f"{self._config.sizes[self._set]}  " if self._sets > 1 else ""

    def _steps_from(self, first: int) -> int:
        """Return the number of steps of the supernets from one on."""
        return self._epoch_steps * sum(planned.epochs[-1] for planned in self._planned[first:])

    def _scores_from(self, first: int) -> int:
        """Return the number of scorings in the supernets from one on."""
        return self.genotypes * sum(len(planned.epochs) for planned in self._planned[first:])

    def _name(self, event: Event) -> str:
        return f"{self._of_set}supernet {self._supernets + 1}/{len(self._planned)} ({_supernet(event)})"

    def _told(self, told: str | None, kind: str, units: float, now: float) -> str | None:
        self.speeds.add(kind, units, now - self._last)
        self._last = now
        return told

    def place(self) -> str:
        """Return the current training and its progress."""
        return self._place

    def figures(self) -> list[str]:
        """Return loss, rate and the time left."""
        return figures_text(self.loss, self.rate, None, self.speeds.left(self._left))


def _supernet(event: Event) -> str:
    """Name the supernet of an event."""
    return f"{event['sampler']}, seed {event['seed']}, {event['length']} epoch{'s' * (event['length'] > 1)}"


def _from_store(event: Event) -> str:
    """Say so if a training was found in the store."""
    return "  (from the store)" if event["known"] else ""
