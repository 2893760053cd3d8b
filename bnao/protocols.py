"""All that a backend must provide, on one page. Plain data crosses every line: genotypes, floats, NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.config.settings import EvaluateConfig, MachineConfig, NetworkConfig, SearchConfig
from bnao.data.dataset import Dataset, LabelledImages
from bnao.errors import ProtocolError
from bnao.network.state import State as State
from bnao.network.trained import Trained
from bnao.space.genotype import Genotype

#: something happened: its kind under "event", and plain values
Event = Mapping[str, Any]
#: is told every event
Listener = Callable[[Event], None]

_TRAINING = ("genotype", "of", "repeat")
_SUPERNET = ("sampler", "seed", "length")
_HELD_OUT = ("learned_from", "n", "pairwise_accuracy", "kendall_tau", "reconstruction_distance")
#: every event of search, evaluate and ranking_study by its kind, with its fields besides "event"; docs/events.md says
#: when each is told and what its fields mean
EVENTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "search": {
        "pool": ("round", "genotypes", "sources", "duplicates"),
        "step": ("round", "step", "steps", "loss", "rate", "genotype", "seconds"),
        "alone": ("round", "genotype", "epoch", "epochs", "loss", "rate", "seconds"),
        "score": ("round", "scored", "of", "best"),
        "proposals": ("round", "proposals", "pairwise_accuracy", "kendall_tau"),
        "round": ("round", "rounds", "best", "genotype"),
        "controller": ("round", "epoch", "epochs", "loss", "rate"),
        "measured": ("round", *_HELD_OUT),
        "exhausted": ("round", "message"),
        "rerank": ("trained", "of", "accuracy"),
        "end": ("best", "score"),
    },
    "evaluate": {
        "step": (*_TRAINING, "epoch", "epochs", "step", "steps", "loss", "rate"),
        "epoch": (*_TRAINING, "epoch", "epochs", "loss", "rate", "seconds"),
        "trained": (*_TRAINING, "test_error"),
    },
    "zero_cost_scores": {
        "probed": ("genotype", "of"),
    },
    "ranking_study": {
        "epoch": (*_TRAINING, "epoch", "epochs", "loss", "rate", "seconds"),
        "trained": (*_TRAINING, "test_error", "known"),
        "step": (*_SUPERNET, "step", "steps", "loss", "rate", "seconds"),
        "score": (*_SUPERNET, "epochs", "scored", "of"),
        "supernet": _SUPERNET,
        "short_epoch": ("genotype", "of", "seed", "epoch", "epochs", "loss", "rate", "seconds"),
        "short": ("genotype", "of", "seed", "epochs", "error", "known"),
        "end": (),
    },
}


@frozen
class Step:
    """One step of a supernet's or a stand-alone network's training has been made.

    Attributes:
        step: 0-based, within the round or the stand-alone training.
        index: which genotype of the pool was trained; 0 where there is one.
        loss: mean cross-entropy of the batch.
        rate: learning rate used.
    """

    step: int
    index: int
    loss: float
    rate: float


@frozen
class Epoch:
    """One epoch of a controller's training has been made (0-based)."""

    epoch: int
    loss: float
    rate: float


class Supernet(Protocol):
    """One network that holds every genotype of a space; a genotype's weights are a part of its weights."""

    #: the network's settings, with the data's classes and image filled in
    network: NetworkConfig
    #: steps of an epoch over the train part; 0 where nothing is trained
    epoch_steps: int
    #: images a score is the accuracy on; None where scores are no shares of images
    scored_images: int | None
    #: the only genotypes it knows, or None where it knows all of its space
    candidates: Sequence[Genotype] | None

    def train(
        self, pool: Sequence[Genotype], drawn: NDArray[np.int64], *, round: int, start: int = 0
    ) -> Iterator[Step]:
        """Train the path of pool[drawn[step]] on one batch, for each step from start on; yields after each.

        Args:
            pool: the genotypes drawn from.
            drawn: shape (steps,), the whole round's draws; the learning rate's cosine spans them.
            round: 0-based; with the step it decides the batch, its augmentation and its masks.
            start: first step to make: the earlier ones were made before this state was saved.

        Only the path's parameters change, momentum and weight decay included. Stopping after any yield and
        going on later from ``state()`` with ``start`` gives the same bits.

        Raises:
            DivergedError: the loss is not finite; it names the step, the genotype and the rate.
        """
        ...

    def score(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """One-shot accuracy of each on held-out data, in [0, 1], in the order given. Weights stay as they were.

        Every genotype sees the same images in the same batches; order and company do not matter.
        """
        ...

    def sizes(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64] | None:
        """Sizes this supernet knows better than arithmetic (a table's column), or None."""
        ...

    def state(self) -> State:
        """All that training continues from: weights, and momenta under ``momentum.<name>``."""
        ...

    def load_state(self, state: State) -> None:
        """Become what ``state`` was taken from. Without momenta (a weights file) these start at zero.

        Raises:
            WeightsError: a parameter is missing, unknown or of another shape.
        """
        ...


@runtime_checkable
class Reporting(Protocol):
    """A supernet that trains genotypes as it scores them, which takes so long that it reports on the way."""

    def report_to(self, tell: Callable[[Genotype, Mapping[str, Any]], None]) -> None:
        """From now on call ``tell`` after each epoch of a training, with the genotype and the epoch's values.

        These are ``epoch`` of ``epochs``, the mean ``loss``, the learning ``rate`` and the ``seconds`` it took.
        """
        ...


@runtime_checkable
class GivesLogits(Protocol):
    """A supernet that also tells what its scores are made of; none must."""

    def logits(self, genotype: Genotype, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Shape (n, classes) for images (n, height, width, channels), in the batches that ``score`` would make."""
        ...


#: says whether a proposal is wanted: new, and within the budgets
Accept = Callable[[Genotype], bool]


class Controller(Protocol):
    """Learns which genotypes score well, and proposes others."""

    def fit(self, genotypes: Sequence[Genotype], scores: NDArray[np.float64], *, round: int) -> Iterator[Epoch]:
        """Learn from all scored genotypes; yields after each epoch (at once, if there is nothing to learn)."""
        ...

    def propose(self, seeds: Sequence[Genotype], n: int, accept: Accept, *, round: int) -> list[Genotype]:
        """At most n distinct genotypes that ``accept`` admits, from the best known ones (seeds, best first)."""
        ...


@runtime_checkable
class Predicting(Controller, Protocol):
    """A controller that can be asked what it expects; a search then compares that with the scores found."""

    def predict(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """The predicted score of each, shape (n,), in any unit: only their order is used."""
        ...


@frozen
class HeldOut:
    """How a controller does on scored genotypes it did not learn from; None is what is not defined for so few.

    Attributes:
        learned_from: genotypes it learned from.
        n: those held out.
        pairwise_accuracy: share of their pairs that predicted and found scores order alike.
        kendall_tau: of predicted and found scores.
        reconstruction_distance: mean share of tokens that differ between a genotype and what its representation is
            decoded to (Hamming), in [0, 1].
    """

    learned_from: int
    n: int
    pairwise_accuracy: float | None
    kendall_tau: float | None
    reconstruction_distance: float


@runtime_checkable
class Measured(Controller, Protocol):
    """A controller that holds out a part of what it is given to learn from, and is measured on it."""

    def held_out(self) -> HeldOut | None:
        """The figures of the last ``fit``; None where nothing was held out."""
        ...


def check_provides(given: object, protocol: type, name: str) -> None:
    """Check that an object has every attribute and method of a protocol of this page.

    Args:
        given: what is to be used.
        protocol: ``Supernet``, ``Controller`` or ``StandAlone``.
        name: how an error calls the object.

    Raises:
        ProtocolError: something is missing, or it is a class and no object of it; one line names all.

    >>> check_provides(object(), Controller, "controller")
    Traceback (most recent call last):
        ...
    bnao.errors.ProtocolError: the controller, of class object, lacks fit() and propose(); see bnao.protocols.Controller
    """
    methods = [each for each, value in vars(protocol).items() if callable(value) and not each.startswith("_")]
    attributes = [each for each in getattr(protocol, "__annotations__", {}) if each not in methods]
    see = f"see {protocol.__module__}.{protocol.__name__}"
    if isinstance(given, type):
        raise ProtocolError(f"the {name} is the class {given.__name__}; give an object of it; {see}")
    missing = [each for each in attributes if not hasattr(given, each)]
    missing += [f"{each}()" for each in methods if not callable(getattr(given, each, None))]
    if missing:
        named = " and ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
        raise ProtocolError(f"the {name}, of class {type(given).__name__}, lacks {named}; {see}")


class StandAlone(Protocol):
    """One genotype's own network, trained from scratch."""

    #: trainable parameters, auxiliary head excluded
    parameters: int
    #: steps of an epoch over the train part
    epoch_steps: int

    def train(self, start: int = 0) -> Generator[Step, None, None]:
        """Train to the end by the paper's recipe, from step ``start`` on; yields after each step.

        Stopping after any yield and going on later from ``state()`` with ``start`` gives the same bits. Closing ends
        whatever reads the images.

        Raises:
            DivergedError: the loss is not finite; it names the epoch, the step, the genotype and the rate.
            DataError: an image cannot be read.
        """
        ...

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Shape (n, classes) for images of shape (n, height, width, channels), as at test time."""
        ...

    def state(self) -> State:
        """The weights, batch norms' running statistics (``.mean``, ``.variance``), and momenta as a supernet's."""
        ...

    def load_state(self, state: State) -> None:
        """Become what ``state`` was taken from; WeightsError as for a supernet."""
        ...


@runtime_checkable
class Backend(Protocol):
    """A framework's side of bnao, found by its entry point in the group ``bnao.backends``."""

    name: str

    def versions(self) -> dict[str, str]:
        """What is installed: a version by package name."""
        ...

    def devices(self) -> list[str]:
        """What ``--device`` can name here."""
        ...

    def supernet(self, config: SearchConfig, dataset: Dataset | None) -> Supernet:
        """A freshly initialised supernet for the search; BackendError if the settings cannot be met."""
        ...

    def controller(self, config: SearchConfig) -> Controller:
        """The NAO controller; BackendError if this backend has none."""
        ...

    def stand_alone(
        self, genotype: Genotype, config: EvaluateConfig, dataset: LabelledImages, *, seed: int
    ) -> StandAlone:
        """A freshly initialised network of one genotype; it trains on the data set's train part."""
        ...


#: logits (n, classes) of images (n, height, width, channels), float32 in 0..1
Logits = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@frozen
class Exporter:
    """A format that a trained network can be written in.

    Attributes:
        suffixes: of the files it is, the one that is named first.
        write: makes them, beside one another, from the path of the first.
        read: what the files compute, from the path of the first, by whatever their users would use.
        channels_first: whether its users give images as (b, channels, height, width), else channels last.
    """

    suffixes: tuple[str, ...]
    write: Callable[[Trained, Path], None]
    read: Callable[[Path], Logits]
    channels_first: bool


@runtime_checkable
class Exporting(Protocol):
    """A backend that is also held against what is exported; none must be."""

    #: formats that this framework alone writes, by the name that ``--to`` takes
    exporters: Mapping[str, Exporter]

    def logits(self, trained: Trained) -> Logits:
        """What the network computes in this backend; BackendError if it has no networks of that space."""
        ...


class Probe(Protocol):
    """One genotype's untrained network, asked for what zero-cost scores are made of (``bnao.evaluation.proxies``).

    Images are normalised, float32, of shape (n, height, width, channels). Batch norms use the statistics of the
    images given. Asking changes nothing.
    """

    def kernels(self) -> State:
        """The first values of all convolutions' kernels and of the classifier's weights, by canonical name."""
        ...

    def jacobian(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        """The gradient of the sum of all logits by each image's values, shape (n, height x width x channels)."""
        ...

    def agreements(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        """For each two images how many ReLUs are on for both or off for both, shape (n, n), whole numbers.

        Every value that a ReLU is applied to is one; a state behind which several operations begin with a ReLU has one
        for each of them.
        """
        ...

    def loss_gradients(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> State:
        """The gradient of the mean cross-entropy by each of ``kernels``; zeros for what the loss does not depend on."""
        ...

    def flow_gradients(self) -> Mapping[str, NDArray[np.float64]]:
        """The gradient of the sum of all logits by each of ``kernels``, of a network made linear and positive.

        Each parameter is its absolute value, batch norms are left out, the image is one of ones; in float64.
        """
        ...


@runtime_checkable
class Probing(Protocol):
    """A backend whose untrained networks can be probed for zero-cost scores; none must be."""

    def probe(self, genotype: Genotype, network: NetworkConfig, machine: MachineConfig, *, seed: int) -> Probe:
        """A freshly initialised network of one genotype, its classes and image filled in."""
        ...
