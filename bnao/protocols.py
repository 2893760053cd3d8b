"""All that a backend must provide, on one page. Plain data crosses every line: genotypes, floats, NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from attrs import field, frozen, validators
from numpy.typing import NDArray

from bnao.classification import Classification
from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import MachineConfig, NetworkConfig, SearchConfig
from bnao.data.dataset import Dataset, LabelledImages
from bnao.errors import ProtocolError
from bnao.events import Event as Event
from bnao.events import Listener as Listener
from bnao.network.mobile import Trainable
from bnao.network.state import State as State
from bnao.network.trained import Trained
from bnao.space.genotype import Genotype
from bnao.space.mixture import Mixture as Mixture


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


#: what a supernet computes: one path, or a weighted sum of all operations
Architecture = Genotype | Mixture


@frozen(eq=False)
class Pass:
    """One forward pass over one batch, and the backward pass behind it.

    Attributes:
        architecture: the path or the mixture.
        images: normalised and augmented, shape (b, height, width, channels).
        labels: shape (b,).
        masks: of drop path, shape (cells, nodes, edges, b); of a mixture what each image's identities
            (``skip_connect``) are multiplied by, shape (cells, places, b), cells being those of the network. None:
            nothing is dropped.
        learn: whether its gradient by the shared weights joins the update.
        slope: whether the derivative by a mixture's weights is wanted: ``no``; of the operations that are ``used``,
            that is, have a weight other than 0; or of ``all``.
        weight: factor of its term of the update's loss, gradients and slope included.
        teacher: which earlier pass of the step teaches it: that one's probabilities, detached, are the targets in
            place of the labels. None: the labels are.
        above: which earlier pass's loss, detached, its own should not exceed: its term is max(0, own - other), the
            ranking loss. None: its term is its own loss.

    Its own loss is the mean cross-entropy with its targets.
    """

    architecture: Architecture
    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    masks: NDArray[np.float32] | None = None
    learn: bool = field(default=True, kw_only=True)
    slope: Literal["no", "used", "all"] = field(
        default="no", validator=validators.in_(("no", "used", "all")), kw_only=True
    )
    weight: float = field(default=1.0, kw_only=True)
    teacher: int | None = field(default=None, kw_only=True)
    above: int | None = field(default=None, kw_only=True)


@frozen(eq=False)
class Outcome:
    """What came out of a pass, by the weights before the update.

    Attributes:
        loss: its own loss, the weight left out.
        accuracy: share of the batch's images whose largest logit is their label's, in [0, 1].
        slope: derivative of the pass's term of the update's loss by the mixture's weights, of their shape, 0 where it
            was not asked for; None where no slope was.
    """

    loss: float
    accuracy: float
    slope: NDArray[np.float64] | None = None


def check_passes(passes: Sequence[Pass]) -> None:
    """Check that the passes of a step can be made one after the other; every supernet's ``step`` begins with it.

    Raises:
        ProtocolError: there is none, one refers to a pass that does not come before it, a teacher has another number
            of images, a slope is asked of a path, or masks have another number of axes.

    >>> from bnao.space.spaces import SPACES
    >>> (path,) = SPACES["nao"].random_genotypes(1, np.random.default_rng(0))
    >>> check_passes([Pass(path, np.zeros((1, 8, 8, 3), np.float32), np.zeros(1, np.int64), teacher=0)])
    Traceback (most recent call last):
        ...
    bnao.errors.ProtocolError: pass 0 has teacher 0; it must be an earlier pass of the step, and there are 0
    """
    if not passes:
        raise ProtocolError("a step of no passes; it needs at least one")
    for index, each in enumerate(passes):
        for name, other in (("teacher", each.teacher), ("above", each.above)):
            if other is not None and not 0 <= other < index:
                raise ProtocolError(
                    f"pass {index} has {name} {other}; it must be an earlier pass of the step, and there are {index}"
                )
        if each.teacher is not None and len(passes[each.teacher].labels) != len(each.labels):
            raise ProtocolError(
                f"pass {index} has {len(each.labels)} images, and its teacher, pass {each.teacher}, "
                f"{len(passes[each.teacher].labels)}; both must see the same images"
            )
        if each.slope != "no" and isinstance(each.architecture, Genotype):
            raise ProtocolError(f"pass {index} asks for the slope of a genotype; only a mixture has one")
        if each.masks is not None and each.masks.ndim != (3 if isinstance(each.architecture, Mixture) else 4):
            raise ProtocolError(
                f"pass {index} has masks of shape {each.masks.shape}; a path's have shape (cells, nodes, edges, b), a "
                "mixture's (cells, places, b)"
            )


class Supernet(Protocol):
    """One network that holds every genotype of a space: a backend's arithmetic, and nothing else.

    Images, labels, masks, learning rates and the decision what to run are handed in.
    """

    #: the network's settings, with the data's classes and image filled in
    network: NetworkConfig

    def step(self, passes: Sequence[Pass], rate: float) -> list[Outcome]:
        """Make the passes by the weights as they are, sum the gradients of those that learn, and update once.

        Args:
            passes: one at least, in the order in which they are made; see ``check_passes``.
            rate: the learning rate.

        Only parameters that have a part in a pass that learns change, momentum and weight decay included (with
        ``idle_momentum`` dense the others go on as if their gradient were 0). Gradients are clipped after they are
        summed. Where a loss is not finite nothing changes. The same state and passes give the same bits.

        Returns:
            One outcome a pass.

        Raises:
            ProtocolError: the passes cannot be made; see ``check_passes``.
            BackendError: this backend does not know mixtures, or more than one pass a step.
            GenotypeError: a mixture of another space.
            ConfigError: a mixture, and a network whose places have several sets of weights (``share_over`` edge).
        """
        ...

    def logits(self, architecture: Architecture, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Shape (b, classes) for one batch (b, height, width, channels), normalised by its own statistics."""
        ...

    def state(self) -> State:
        """All that training continues from: weights, and momenta under ``momentum.<name>``."""
        ...

    def load_state(self, state: State) -> None:
        """Restore ``state``. Without momenta (a weights file) these start at zero.

        Raises:
            WeightsError: a parameter is missing, unknown or of another shape.
        """
        ...


class Scorer(Protocol):
    """Trains and scores the genotypes of a search's pool: a supernet with its images, or what stands in its place.

    ``bnao.training.shared_weights.SharedWeights`` makes one of any ``Supernet``.
    """

    #: the network's settings, with the data's classes and image filled in
    network: NetworkConfig
    #: steps of an epoch over the train part; 0 where nothing is trained
    epoch_steps: int
    #: images a score is the accuracy on; None where scores are no shares of images
    scored_images: int | None
    #: the only genotypes it knows, or None where it knows all of its space
    candidates: Sequence[Genotype] | None

    def train(
        self, pool: Sequence[Genotype], drawn: NDArray[np.int64], *, round_index: int, start: int = 0
    ) -> Iterator[Step]:
        """Train the path of pool[drawn[step]] on one batch, for each step from start on; yields after each.

        Args:
            pool: the genotypes drawn from.
            drawn: shape (steps,), the whole round's draws; the learning rate's cosine spans them.
            round_index: 0-based; with the step it decides the batch, its augmentation and its masks.
            start: first step to make: the earlier ones were made before this state was saved.

        Stopping after any yield and resuming later from ``state()`` with ``start`` gives the same bits.

        Raises:
            DivergedError: the loss is not finite; it names the step, the genotype and the rate.
        """
        ...

    def score(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """One-shot accuracy of each on held-out data, in [0, 1], in the order given. Weights stay as they were.

        With ``SearchConfig.score`` log-likelihood the mean log p(label) of these data, <= 0, in its place.

        Every genotype sees the same images in the same batches; order and company do not matter.
        """
        ...

    def sizes(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64] | None:
        """Sizes that are known better than by arithmetic (a table's column), or None."""
        ...

    def state(self) -> State:
        """All that training continues from; empty where nothing is trained."""
        ...

    def load_state(self, state: State) -> None:
        """Restore ``state``; WeightsError as for a supernet."""
        ...


@runtime_checkable
class Classifying(Scorer, Protocol):
    """A scorer that also says how each of its scores comes about, image by image."""

    def classify(self, architectures: Sequence[Genotype]) -> list[Classification]:
        """Classify the held-out images by each: accuracy, which is its score, and log-likelihood."""
        ...


@runtime_checkable
class Reporting(Protocol):
    """A scorer that trains genotypes as it scores them, which takes so long that it reports on the way."""

    def report_to(self, tell: Callable[[Genotype, Mapping[str, Any]], None]) -> None:
        """From now on call ``tell`` after each epoch of a training, with the genotype and the epoch's values.

        These are ``epoch`` of ``epochs``, the mean ``loss``, the learning ``rate`` and the ``seconds`` it took.
        """
        ...


#: says whether a proposal is wanted: new, and within the budgets
Accept = Callable[[Genotype], bool]


class Controller(Protocol):
    """Learns which genotypes score well, and proposes others."""

    def fit(self, genotypes: Sequence[Genotype], scores: NDArray[np.float64], *, round_index: int) -> Iterator[Epoch]:
        """Learn from all scored genotypes; yields after each epoch (at once, if there is nothing to learn)."""
        ...

    def propose(self, seeds: Sequence[Genotype], n: int, accept: Accept, *, round_index: int) -> list[Genotype]:
        """Return at most n distinct genotypes that ``accept`` admits, from the best known ones (seeds, best first)."""
        ...


@runtime_checkable
class Predicting(Controller, Protocol):
    """A controller that can be asked what it expects; a search then compares that with the scores found."""

    def predict(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """Return the predicted score of each, shape (n,), in any unit: only their order is used."""
        ...


@runtime_checkable
class Choosing(Controller, Protocol):
    """A controller that can also choose among given genotypes: asked where only some genotypes have scores."""

    def choose(self, candidates: Sequence[Genotype], n: int, *, round_index: int) -> list[Genotype]:
        """Return the n of the candidates that it would propose."""
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
            decoded to (Hamming), in [0, 1]; None for a controller that decodes nothing.
    """

    learned_from: int
    n: int
    pairwise_accuracy: float | None
    kendall_tau: float | None
    reconstruction_distance: float | None


@runtime_checkable
class Measured(Controller, Protocol):
    """A controller that holds out a part of what it is given to learn from, and is measured on it."""

    def held_out(self) -> HeldOut | None:
        """Return the figures of the last ``fit``; None where nothing was held out."""
        ...


def check_provides(given: object, protocol: type, name: str) -> None:
    """Check that an object has every attribute and method of a protocol of this page.

    Args:
        given: what is to be used.
        protocol: ``Scorer``, ``Supernet``, ``Controller`` or ``StandAlone``.
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
        """Return logits of shape (n, classes) for images of shape (n, height, width, channels), as at test time."""
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
        """Return what is installed: a version by package name."""
        ...

    def devices(self) -> list[str]:
        """Return the devices that ``--device`` can name here."""
        ...

    def supernet(self, config: SearchConfig, dataset: Dataset | None) -> Scorer:
        """A freshly initialised supernet with the images of the search; BackendError if the settings cannot be met.

        ``SharedWeights(make(dataset.network(config.network)), config, dataset, make, self)``
        (``bnao.training.shared_weights``), where ``make`` makes this backend's ``Supernet`` for a network's settings.
        """
        ...

    def controller(self, config: SearchConfig) -> Controller:
        """Return the NAO controller; BackendError if this backend has none."""
        ...

    def stand_alone(
        self, genotype: Trainable, config: EvaluateConfig, dataset: LabelledImages, *, seed: int
    ) -> StandAlone:
        """Return a freshly initialised network, which trains on the train part; one for comparison may be refused."""
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
        """Return what the network computes in this backend; BackendError if it has no networks of that space."""
        ...


class Probe(Protocol):
    """One genotype's untrained network, asked for what zero-cost scores are made of (``bnao.proxies``).

    Images are normalised, float32, of shape (n, height, width, channels). Batch norms use the statistics of the
    images given. Asking changes nothing.
    """

    def kernels(self) -> State:
        """Return the first values of all convolutions' kernels and of the classifier's weights, by canonical name."""
        ...

    def jacobian(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the gradient of the sum of all logits by each image's values, shape (n, height x width x channels)."""
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
        """Return the gradient of the sum of all logits by each of ``kernels``, of a network made linear and positive.

        Each parameter is its absolute value, batch norms are left out, the image is one of ones; in float64.
        """
        ...


@runtime_checkable
class Probing(Protocol):
    """A backend whose untrained networks can be probed for zero-cost scores; none must be."""

    def probe(self, genotype: Genotype, network: NetworkConfig, machine: MachineConfig, *, seed: int) -> Probe:
        """Return a freshly initialised network of one genotype, its classes and image filled in."""
        ...
