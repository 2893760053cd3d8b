"""Stand-alone training of chosen genotypes from scratch, with the paper's recipe (Sec. 5; docs/training.md)."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from attrs import field, frozen

from bnao.classification import class_errors, label_ranks
from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import AUTO
from bnao.data.dataset import LabelledImages
from bnao.errors import ConfigError, RunError, WeightsError
from bnao.evaluation.sizing import ONE_SPACE, Spaces, counts, sized
from bnao.events import EndsOnce, Event, phase
from bnao.files import parse_json
from bnao.metrics import Estimate, rank_agreement
from bnao.network.mobile import MOBILE, MobileNetwork, Trainable
from bnao.network.state import read_weights, to_bytes, without_momenta
from bnao.network.trained import about_training
from bnao.parallel.jobs import Job, run_jobs
from bnao.protocols import Backend, Listener, StandAlone, Step
from bnao.provenance import EVALUATION, about_images, keep_about, origin
from bnao.run import Folder, Run, number, understanding
from bnao.space.genotype import Genotype
from bnao.strategies.inheritance import Inheritance, SupernetWeights
from bnao.training import loop
from bnao.training.steps import stand_alone_epoch_steps

log = logging.getLogger("bnao")

RESULT = EVALUATION


@frozen
class Evaluation:
    """Result of the stand-alone trainings of one genotype.

    Attributes:
        genotype: the architecture.
        parameters: trainable parameters of its network, auxiliary head excluded.
        multiply_adds: of that network, for one image.
        test_errors: share of test images misclassified, in [0, 1], one for each repeat.
        top5_errors: share whose label is not among the first five, one for each repeat; empty where that is not told.
        class_errors: share of each class' test images misclassified, the mean over the repeats; None: it has none.
            Empty where a training was tested before bnao kept them.
        channels: of the first cells, where they were chosen for this genotype.
        unreadable: the files that were left out of its trainings and tests, and why.
        space: the search space whose rules its network has, with its nodes, where an evaluation is of several spaces.
        inherited: what its network had of a supernet when its trainings began; None where they began at random.

    >>> from bnao.space.spaces import SPACES
    >>> from bnao.streams import stream
    >>> (genotype,) = SPACES["nao"].random_genotypes(1, stream(0, "example"))
    >>> done = Evaluation(genotype, parameters=1000, multiply_adds=5000, test_errors=(0.25, 0.75))
    >>> done.mean, round(done.deviation, 4)
    (0.5, 0.3536)
    """

    genotype: Trainable
    parameters: int
    multiply_adds: int
    test_errors: tuple[float, ...]
    top5_errors: tuple[float, ...] = ()
    channels: int | None = None
    unreadable: Mapping[str, str] = field(factory=dict, hash=False)
    inherited: Inheritance | None = field(default=None, eq=False, repr=False)
    class_errors: tuple[float | None, ...] = field(default=(), repr=False)
    space: str | None = None

    @property
    def mean(self) -> float:
        """Mean test error over the repeats."""
        return statistics.fmean(self.test_errors)

    @property
    def deviation(self) -> float:
        """Standard deviation of the test error over the repeats; NaN for a single one."""
        return statistics.stdev(self.test_errors) if len(self.test_errors) > 1 else math.nan

    @property
    def top5_mean(self) -> float:
        """Mean top-5 error over the repeats; NaN where it is not told."""
        return statistics.fmean(self.top5_errors) if self.top5_errors else math.nan

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as in evaluation.json; an unknown standard deviation is null."""
        top5 = {"top5_error": self.top5_mean, "top5_errors": list(self.top5_errors)} if self.top5_errors else {}
        return {
            "genotype": str(self.genotype),
            "id": self.genotype.id,
            **({} if self.space is None else {"space": self.space}),
            "test_error": self.mean,
            "standard_deviation": None if math.isnan(self.deviation) else self.deviation,
            "test_errors": list(self.test_errors),
            **top5,
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            **({} if self.channels is None else {"channels": self.channels}),
            **({} if self.inherited is None else {"from_supernet": self.inherited.to_json()}),
            **({"class_errors": list(self.class_errors)} if self.class_errors else {}),
        }


def evaluate(
    genotypes: Sequence[Trainable],
    config: EvaluateConfig,
    backend: Backend,
    dataset: LabelledImages,
    *,
    run: Run | None = None,
    scores: Mapping[Genotype, float] | None = None,
    spaces: Spaces = ONE_SPACE,
    listen: Listener = lambda event: None,
) -> list[Evaluation]:
    """Train each genotype's own network ``config.repeats`` times and test it.

    Networks are trained on the train and dev parts together and tested once, at the end, on the test part.

    Args:
        genotypes: the architectures; networks for comparison (``bnao.network.mobile``) may be among them.
        config: all settings.
        backend: makes and trains the networks.
        dataset: images; see ``bnao.load_dataset`` and ``bnao.data.imagenet``.
        run: a folder for weights and results. What it holds of finished trainings is not done again, and a
            training that was killed resumes from its last checkpoint. None: nothing is kept.
        scores: one-shot scores of the genotypes; with them the folder also gets the rank agreement.
        spaces: those of genotypes that are not of the space in ``config.network``.
        listen: is called with every event; ``bnao.events.EVENTS`` lists them.

    Returns:
        One evaluation a genotype, in the order given.

    Raises:
        ConfigError: a network does not keep the budget of multiply-adds, or the supernet is of another space.
        WeightsError: the supernet's weights are damaged.
        DataError: an image cannot be read.
        DivergedError: a training's loss is not finite.
        RunError: the folder cannot be written, and finished trainings are kept; or it was begun with other images.
        GenotypeError: a genotype of another space.
    """
    if not genotypes:
        return []
    tells_spaces = bool(spaces) or any(isinstance(each, MobileNetwork) for each in genotypes)
    if tells_spaces and config.from_supernet is not None:
        raise ConfigError(
            f"from_supernet is {config.from_supernet}, a supernet of one space, and the genotypes are of several; "
            f"evaluate those of its space alone"
        )
    if run:
        keep_about(run, origin(about_images(dataset), config.machine, [backend]))
    plan = evaluation_plan(len(genotypes), config, dataset)
    if run:
        run.keep_plan(plan)
    listen(plan)
    listen = EndsOnce(listen)

    def tell(event: Event) -> None:
        if run and event["event"] != "step":
            run.log(event)
        listen(event)

    trainings = planned_trainings(genotypes, config, backend, dataset, run, spaces)
    done = run_jobs((training.job(partial(tell_at, tell, place)) for place, training in trainings), run)
    evaluations: list[Evaluation] = []
    tests: list[TestedNetwork] = []
    for (place, training), finished in zip(trainings, done, strict=True):
        tests.append(finished.value)
        if finished.known:
            listen({"event": "trained", **place, "test_error": finished.value.error})
        if len(tests) == config.repeats:
            evaluations.append(_evaluation(training, tests, config, dataset, tells_spaces))
            tests = []
            if run:
                _keep(evaluations, len(genotypes), config, dataset, run, scores)
    return evaluations


def evaluation_plan(genotypes: int, config: EvaluateConfig, dataset: LabelledImages) -> Event:
    """Return the event that says what the evaluation of so many genotypes will do."""
    steps = stand_alone_epoch_steps(config, dataset.joined())
    loops = {"genotype": genotypes, "repeat": config.repeats, "epoch": config.epochs, "step": steps}
    counted = {name: (1, count) for name, count in loops.items()}
    return {"event": "plan", "phases": [phase("step", "trained", loops=counted, weight=1.0)]}


def _evaluation(
    training: Training,
    tests: Sequence[TestedNetwork],
    config: EvaluateConfig,
    dataset: LabelledImages,
    tells_spaces: bool,
) -> Evaluation:
    """Return what the tests of all trainings of a genotype amount to, of which one is given."""
    network, of_space = dataset.network(training.config.network), isinstance(training.genotype, Genotype)
    return Evaluation(
        training.genotype,
        *counts(training.genotype, network),
        tuple(test.error for test in tests),
        tuple(test.top5_error for test in tests if test.top5_error is not None),
        network.channels if config.network.channels == AUTO and of_space else None,
        {path: reason for test in tests for path, reason in test.unreadable.items()},
        training.start,
        _class_means([test.class_errors for test in tests]),
        (network.space if of_space else MOBILE) if tells_spaces else None,
    )


def _keep(
    evaluations: Sequence[Evaluation],
    total: int,
    config: EvaluateConfig,
    dataset: LabelledImages,
    run: Run,
    scores: Mapping[Genotype, float] | None,
) -> None:
    """Write the evaluations up to now, unless another process has written as many; at the end those of all."""
    content = _content(evaluations, config, dataset)
    if len(evaluations) < total:
        if _kept(run) < len(evaluations):
            run.write_json(RESULT, content)
        return
    if scores is not None:
        content["agreement"] = {name: value.to_json() for name, value in agreement(evaluations, scores).items()}
    run.write_json(RESULT, content)


def _kept(run: Run) -> int:
    """Return the number of evaluations in the file; 0 where there is none that can be read."""
    try:
        return run.known(RESULT, lambda content: len(content["evaluations"])) or 0
    except RunError:
        return 0


def planned_trainings(
    genotypes: Sequence[Trainable],
    config: EvaluateConfig,
    backend: Backend,
    dataset: LabelledImages,
    folder: Folder | None,
    spaces: Spaces = ONE_SPACE,
) -> list[tuple[Mapping[str, Any], Training]]:
    """Return the trainings of an evaluation in their order, each with its place as events have it."""
    supernet = None if config.from_supernet is None else SupernetWeights.of(config.from_supernet, config.network)
    whole = dataset.joined()
    planned: list[tuple[Mapping[str, Any], Training]] = []
    for index, (genotype, own) in enumerate(zip(genotypes, sized(config, genotypes, dataset, spaces), strict=True)):
        start = None
        if supernet is not None and isinstance(genotype, Genotype):
            start = supernet.inherited(genotype, dataset.network(own.network))
        for repeat in range(config.repeats):
            place = {"genotype": index + 1, "of": len(genotypes), "repeat": repeat + 1}
            training = training_of(genotype, config, own, backend, whole, repeat=repeat, folder=folder, start=start)
            planned.append((place, training))
    return planned


def tell_at(tell: Callable[[Event], None], place: Mapping[str, Any], kind: str, **values: Any) -> None:
    """Tell an event of a training at its place."""
    tell({"event": kind, **place, **values})


def training_of(
    genotype: Trainable,
    config: EvaluateConfig,
    own: EvaluateConfig,
    backend: Backend,
    dataset: LabelledImages,
    *,
    repeat: int,
    folder: Folder | None,
    start: Inheritance | None = None,
) -> Training:
    """Return one of the trainings of ``evaluate``.

    Args:
        genotype: the architecture.
        config: the evaluation's settings.
        own: those of this genotype's trainings, of ``sized``.
        backend, folder, start: as for ``Training``.
        dataset: trained on its train and dev parts together.
        repeat: which of its trainings, from 0.
    """
    seed = config.seed + repeat
    about = {"channels": own.network.channels} if config.network.channels == AUTO else {}
    return Training(
        genotype, own, backend, dataset,
        seed=seed, folder=folder, name=f"trainings/{genotype.digest}-seed-{seed}", about=about, start=start,
    )  # fmt: skip


def _class_means(repeats: Sequence[Sequence[float | None]]) -> tuple[float | None, ...]:
    """Return the mean error of each class over the repeats; empty where a repeat lacks them."""
    if not all(repeats):
        return ()
    return tuple(
        None if None in errors else round(statistics.fmean(error for error in errors if error is not None), 6)
        for errors in zip(*repeats, strict=True)
    )


def _content(evaluations: Sequence[Evaluation], config: EvaluateConfig, dataset: LabelledImages) -> dict[str, Any]:
    """Return the content of evaluation.json, with the files that were left out where that is allowed."""
    content: dict[str, Any] = {
        "class_names": list(dataset.class_names),
        "evaluations": [done.to_json() for done in evaluations],
    }
    if config.data.unreadable == "skip":
        left_out = unreadable(evaluations)
        content["unreadable"] = [{"file": path, "reason": reason} for path, reason in left_out.items()]
    return content


def unreadable(evaluations: Sequence[Evaluation]) -> dict[str, str]:
    """Return the files that were left out of any training or test, and why, by name."""
    return dict(sorted(each for done in evaluations for each in done.unreadable.items()))


@frozen
class TestedNetwork:
    """Test result of one trained network.

    Attributes:
        error: share of test images misclassified, in [0, 1].
        top5_error: share whose label is not among the first five; None where that is not told.
        unreadable: the files that were left out, and why.
        class_errors: share of each class' test images misclassified; None: it has none. Empty where that is not known.
    """

    error: float
    top5_error: float | None = None
    unreadable: Mapping[str, str] = field(factory=dict, hash=False)
    class_errors: tuple[float | None, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as in the file of a training, without values that are None or empty."""
        top5 = {} if self.top5_error is None else {"top5_error": self.top5_error}
        by_class = {"class_errors": list(self.class_errors)} if self.class_errors else {}
        left_out = {"unreadable": dict(self.unreadable)} if self.unreadable else {}
        return {"test_error": self.error, **top5, **by_class, **left_out}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TestedNetwork:
        """Read the object that ``to_json`` wrote."""
        top5 = content.get("top5_error")
        left_out = {str(path): str(reason) for path, reason in content.get("unreadable", {}).items()}
        by_class = tuple(None if error is None else number(error) for error in content.get("class_errors", []))
        return cls(number(content["test_error"]), None if top5 is None else number(top5), left_out, by_class)


class Training:
    """One network's training, kept in a folder where there is one.

    Args:
        genotype: the architecture.
        config: all settings.
        backend: makes and trains the network.
        dataset: trained on its train part, tested on its test part.
        seed: of this training.
        folder: what it holds of a finished training is not done again, and a training that was killed resumes from
            its last checkpoint. None: nothing is kept.
        name: of its files there, without a suffix.
        about: what else the files of its result say.
        keep_weights: whether the trained weights stay.
        start: parameters that the network begins with, those of a supernet; None: all begin at random.
    """

    def __init__(
        self,
        genotype: Trainable,
        config: EvaluateConfig,
        backend: Backend,
        dataset: LabelledImages,
        *,
        seed: int,
        folder: Folder | None,
        name: str,
        about: Mapping[str, Any] | None = None,
        keep_weights: bool = True,
        start: Inheritance | None = None,
    ) -> None:
        self.genotype, self.config, self.backend, self.dataset = genotype, config, backend, dataset
        self.seed, self.folder, self.name = seed, folder, name
        self.about, self.keep_weights, self.start = about or {}, keep_weights, start

    def job(self, tell: Callable[..., None]) -> Job[TestedNetwork]:
        """Return the training and its test as a job of the folder.

        Args:
            tell: called with the kind of an event and its values, after each step and epoch, and at the end.
        """
        return Job(
            f"{self.name}.json", lambda: self._train_and_test(tell), self._to_json, TestedNetwork.from_json,
            scraps=(self._checkpoint_name,), report=lambda test: tell("trained", test_error=test.error),
        )  # fmt: skip

    def tested(self, tell: Callable[..., None]) -> TestedNetwork:
        """Train, unless that was done before, and test."""
        return self.job(tell).result(self.folder)

    def _to_json(self, test: TestedNetwork) -> dict[str, Any]:
        return {"genotype": str(self.genotype), "seed": self.seed, **self.about, **test.to_json()}

    def _train_and_test(self, tell: Callable[..., None]) -> TestedNetwork:
        network = self.backend.stand_alone(self.genotype, self.config, self.dataset, seed=self.seed)
        if self.start is not None:
            network.load_state({**network.state(), **self.start.weights})
        left_out = self._train(network, tell)
        error, top5_error, by_class = self._errors(network)
        test = TestedNetwork(error, top5_error, {**left_out, **self.dataset.unreadable}, by_class)
        if self.folder and self.keep_weights:
            settings = self.dataset.network(self.config.network)
            about = about_training(self.genotype, settings, self.dataset, self.seed, error)
            self.folder.write(f"{self.name}.safetensors", to_bytes(without_momenta(network.state()), about))
        return test

    def _train(self, network: StandAlone, tell: Callable[..., None]) -> dict[str, str]:
        """Train from the last checkpoint to the end; return the files that were left out before it."""
        start, losses, left_out = self._restore(network)
        steps, epochs = network.epoch_steps, self.config.epochs
        spent = 0.0

        def report(step: Step, seconds: float) -> None:
            nonlocal losses, spent
            epoch, place = divmod(step.step, steps)
            losses, spent = losses + step.loss, spent + seconds
            where = {"epoch": epoch + 1, "epochs": epochs, "rate": step.rate}
            tell("step", **where, step=place + 1, steps=steps, loss=step.loss)
            if place + 1 == steps:
                tell("epoch", **where, loss=losses / steps, seconds=round(spent, 3))
                losses, spent = 0.0, 0.0

        def keep(made: int) -> None:
            self._checkpoint(network, made, losses, left_out)

        with contextlib.closing(network.train(start)) as made:
            loop.train(made, report, keep if self.folder else None, every=self.config.checkpoint_seconds)
        return left_out

    def _errors(self, network: StandAlone) -> tuple[float, float | None, tuple[float | None, ...]]:
        """Return the test error, the top-5 error where that is asked for, and the error of each class."""
        tested = [
            (label_ranks(network.logits(images), labels), labels)
            for images, labels in self.dataset.test_batches(self.config.training.batch_size)
        ]
        ranks, labels = (np.concatenate(parts) for parts in zip(*tested, strict=True))
        first, fifth = (1 - float((ranks < k).mean()) for k in (1, 5))
        return first, fifth if self.dataset.tells_top5 else None, class_errors(ranks > 0, labels, self.dataset.classes)

    @property
    def _checkpoint_name(self) -> str:
        return f"{self.name}.checkpoint.safetensors"

    def _restore(self, network: StandAlone) -> tuple[int, float, dict[str, str]]:
        """Restore the last checkpoint, if there is one.

        Returns:
            The step to resume from, the sum of its epoch's losses so far, and the files that were left out. A
            damaged checkpoint is none: the training begins anew.
        """
        if not (self.folder and self.folder.has(self._checkpoint_name)):
            return 0, 0.0, {}
        path = self.folder.folder / self._checkpoint_name
        try:
            state, about = read_weights(path, "this training begins anew")
        except WeightsError as error:
            log.warning("warning: %s", error)
            return 0, 0.0, {}
        network.load_state(state)
        with understanding(path):
            left_out = parse_json(str(about["unreadable"]))
            return int(about["step"]), float(about["losses"]), {str(file): str(left_out[file]) for file in left_out}

    def _checkpoint(self, network: StandAlone, step: int, losses: float, left_out: Mapping[str, str]) -> None:
        if self.folder:
            unreadable = json.dumps({**left_out, **self.dataset.unreadable})
            about: dict[str, str | int] = {"step": step, "losses": repr(losses), "unreadable": unreadable}
            self.folder.write(self._checkpoint_name, to_bytes(network.state(), about))


def agreement(evaluations: Sequence[Evaluation], scores: Mapping[Genotype, float]) -> dict[str, Estimate]:
    """Return the rank agreement of one-shot scores and stand-alone accuracies, of the genotypes that have a score.

    Returns:
        Pairwise accuracy, Kendall's tau, Spearman's rho and precision at the top, with n and an interval.
    """
    known = dict[Trainable, float](scores.items())
    scored = [done for done in evaluations if done.genotype in known]
    return rank_agreement([known[done.genotype] for done in scored], [1 - done.mean for done in scored])
