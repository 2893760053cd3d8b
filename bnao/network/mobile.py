"""Networks that are not made of cells, which Table 5 sets beside: as a walk over plain layers, counted along it.

Sources: *MobileNets*, Howard et al., arXiv 1704.04861, Table 1; *MobileNetV2*, Sandler et al., arXiv 1801.04381,
Table 2; *MnasNet*, Tan et al., arXiv 1807.11626, Fig. 7 (MnasNet-A1).
"""

from __future__ import annotations

import difflib
import hashlib
import math
import re
from typing import Generic, Protocol, TypeVar

from attrs import frozen

from bnao.errors import GenotypeError
from bnao.network.stack import halved
from bnao.space.genotype import Genotype
from bnao.space.spaces import parse_in
from bnao.space.zoo import Claim

T = TypeVar("T")
#: height, width and channels of its images as they are shown to networks, and its classes
IMAGENET = (224, 224, 3), 1000
#: what files name in place of a space
MOBILE = "mobile"


class MobileLayers(Protocol[T]):
    """Layers of an interpreter on a state T."""

    def convolution(self, x: T, name: str, channels: int, kernel: int, *, stride: int, depthwise: bool) -> T:
        """Convolve by the kernel of that name, padded by half of it, without a bias."""
        ...

    def norm(self, x: T, name: str) -> T:
        """Return the batch norm of that name."""
        ...

    def relu(self, x: T, most: float | None) -> T:
        """Return max(x, 0), at most ``most``."""
        ...

    def squeezed(self, x: T, name: str, hidden: int) -> T:
        """Multiply each channel by the sigmoid of two layers of the mean over all pixels, the first with a ReLU."""
        ...

    def total(self, first: T, second: T) -> T:
        """Return the sum of two states of one shape."""
        ...

    def linear(self, x: T, name: str) -> T:
        """Return the classifier, with a bias, of the mean over all pixels."""
        ...


@frozen
class _Block:
    """A row of a table of blocks: an inverted bottleneck, or of MobileNetV1 a depthwise separable convolution.

    Attributes:
        channels: that each gives.
        times: how many there are.
        stride: of the first.
        expansion: of the channels within; 0: a separable convolution.
        kernel: of the depthwise convolution.
        squeezes: whether there is a squeeze and excitation, to a quarter of the channels that the block is given.
    """

    channels: int
    times: int = 1
    stride: int = 1
    expansion: int = 0
    kernel: int = 3
    squeezes: bool = False


@frozen
class _Walk(Generic[T]):
    """A walk of an interpreter over a network's layers."""

    layers: MobileLayers[T]
    most: float | None

    def normed(
        self,
        x: T,
        name: str,
        channels: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        depthwise: bool = False,
        relu: bool = True,
    ) -> T:
        """Return a convolution, its norm and, if wanted, a ReLU."""
        x = self.layers.convolution(x, f"{name}.kernel", channels, kernel, stride=stride, depthwise=depthwise)
        x = self.layers.norm(x, f"{name}.norm")
        return self.layers.relu(x, self.most) if relu else x

    def block(self, x: T, name: str, given: int, row: _Block, stride: int) -> T:
        """Return a block of a state of so many channels."""
        inner, wide = x, max(1, row.expansion) * given
        if row.expansion > 1:
            inner = self.normed(inner, f"{name}.expand", wide)
        inner = self.normed(inner, f"{name}.depthwise", wide, row.kernel, stride, depthwise=True)
        if row.squeezes:
            inner = self.layers.squeezed(inner, f"{name}.squeeze", given // 4)
        inner = self.normed(inner, f"{name}.project", row.channels, relu=not row.expansion)
        is_residual = row.expansion > 0 and stride == 1 and given == row.channels
        return self.layers.total(x, inner) if is_residual else inner


@frozen
class MobileNetwork:
    """A network for comparison.

    Attributes:
        name: what it is called.
        claim: of its authors, for ImageNet.
        claimed_multiply_adds: theirs, in millions.
        most: its ReLUs are cut off at; None: they are not.
        head: channels of the last convolution; 0: there is none.
    """

    name: str
    claim: Claim
    claimed_multiply_adds: float
    _blocks: tuple[_Block, ...]
    most: float | None = None
    head: int = 1280

    def __str__(self) -> str:
        return self.name

    @property
    def id(self) -> str:
        """Its name, as tables of evaluations have it."""
        return self.name

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits; files of its trainings are named by them."""
        return hashlib.blake2b(self.name.encode(), digest_size=6).hexdigest()

    @property
    def features(self) -> int:
        """Inputs of the classifier."""
        return self.head or self._blocks[-1].channels

    def logits(self, layers: MobileLayers[T], images: T) -> T:
        """Return what an interpreter makes of the whole network."""
        walk = _Walk(layers, self.most)
        x, given, index = walk.normed(images, "stem", 32, 3, 2), 32, 0
        for row in self._blocks:
            for place in range(row.times):
                x = walk.block(x, f"blocks.{index}", given, row, 1 if place else row.stride)
                given, index = row.channels, index + 1
        if self.head:
            x = walk.normed(x, "head", self.head)
        return layers.linear(x, "classifier")

    def shapes(self, channels: int, classes: int) -> dict[str, tuple[int, ...]]:
        """Return every trainable parameter by name, for images of so many channels."""
        return self._counted((1, 1, channels), classes).shapes

    def counts(self, image: tuple[int, int, int] = IMAGENET[0], classes: int = IMAGENET[1]) -> tuple[int, int]:
        """Return the trainable parameters, and the multiply-adds for one image.

        Args:
            image: height, width and channels.
            classes: of the classifier.

        >>> [network.counts() for network in MOBILE_NETWORKS]
        [(4231976, 568740352), (3504872, 300774272), (3887038, 311579072)]
        """
        counted = self._counted(image, classes)
        return sum(math.prod(shape) for shape in counted.shapes.values()), counted.multiply_adds

    def _counted(self, image: tuple[int, int, int], classes: int) -> _Counter:
        counter = _Counter(classes)
        self.logits(counter, (image[2], image[:2]))
        return counter


#: a state by its channels, and its height and width
_State = tuple[int, tuple[int, int]]


class _Counter:
    """Layers as the parameters and multiply-adds they have."""

    def __init__(self, classes: int) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.multiply_adds = 0
        self._classes = classes

    def convolution(self, x: _State, name: str, channels: int, kernel: int, *, stride: int, depthwise: bool) -> _State:
        size = halved(x[1]) if stride == 2 else x[1]
        self.shapes[name] = channels, 1 if depthwise else x[0], kernel, kernel
        self.multiply_adds += math.prod(self.shapes[name]) * math.prod(size)
        return channels, size

    def norm(self, x: _State, name: str) -> _State:
        self.shapes[f"{name}.scale"] = self.shapes[f"{name}.shift"] = (x[0],)
        return x

    def relu(self, x: _State, most: float | None) -> _State:
        return x

    def squeezed(self, x: _State, name: str, hidden: int) -> _State:
        self._layer(f"{name}.reduce", x[0], hidden)
        self._layer(f"{name}.expand", hidden, x[0])
        return x

    def total(self, first: _State, second: _State) -> _State:
        return first

    def linear(self, x: _State, name: str) -> _State:
        self._layer(name, x[0], self._classes)
        return self._classes, (1, 1)

    def _layer(self, name: str, features: int, width: int) -> None:
        self.shapes[f"{name}.weight"], self.shapes[f"{name}.bias"] = (width, features), (width,)
        self.multiply_adds += features * width


def _claim(parameters: float, error: float, where: str, top_5_error: float | None = None) -> Claim:
    return Claim("imagenet", None, None, parameters, error, where, top_5_error)


MOBILE_NETWORKS = (
    MobileNetwork(
        "MobileNetV1", _claim(4.2, 29.4, "arXiv 1704.04861, Table 8"), 569,
        (
            _Block(64), _Block(128, stride=2), _Block(128), _Block(256, stride=2), _Block(256), _Block(512, stride=2),
            _Block(512, times=5), _Block(1024, stride=2), _Block(1024),
        ),
        head=0,
    ),
    MobileNetwork(
        "MobileNetV2", _claim(3.4, 28.0, "arXiv 1801.04381, Table 4"), 300,
        (
            _Block(16, 1, 1, 1), _Block(24, 2, 2, 6), _Block(32, 3, 2, 6), _Block(64, 4, 2, 6), _Block(96, 3, 1, 6),
            _Block(160, 3, 2, 6), _Block(320, 1, 1, 6),
        ),
        most=6.0,
    ),
    MobileNetwork(
        "MnasNet-A1", _claim(3.9, 24.8, "arXiv 1807.11626, Table 1", 7.5), 312,
        (
            _Block(16, 1, 1, 1), _Block(24, 2, 2, 6), _Block(40, 3, 2, 3, 5, squeezes=True), _Block(80, 4, 2, 6),
            _Block(112, 2, 1, 6, squeezes=True), _Block(160, 3, 2, 6, 5, squeezes=True), _Block(320, 1, 1, 6),
        ),
    ),
)  # fmt: skip

#: what can be trained alone
Trainable = Genotype | MobileNetwork


def mobile_network(name: str) -> MobileNetwork:
    """Return the network of a name; letters and digits alone count, capitals or not.

    Raises:
        GenotypeError: there is none.

    >>> mobile_network("mobilenet-v2").claimed_multiply_adds
    300
    """
    known = {_plain(network.name): network for network in MOBILE_NETWORKS}
    found = known.get(_plain(name))
    if found is None:
        near = difflib.get_close_matches(_plain(name)[:60], known, 1)
        names = ", ".join(network.name for network in MOBILE_NETWORKS)
        hint = f"did you mean {known[near[0]].name}?" if near else f"there is {names}"
        raise GenotypeError(f"no network {name.strip()[:60]!r} for comparison; {hint}")
    return found


def is_mobile_network(name: str) -> bool:
    """Return whether a text is the name of a network for comparison.

    >>> is_mobile_network("MnasNet-A1"), is_mobile_network("DARTS_V2")
    (True, False)
    """
    return _plain(name) in {_plain(network.name) for network in MOBILE_NETWORKS}


def read_trainable(space: str, text: str) -> Trainable:
    """Return what an evaluation's file names by space and text: a genotype, or a network for comparison.

    Raises:
        GenotypeError: it is neither.

    >>> str(read_trainable("mobile", "MobileNetV2"))
    'MobileNetV2'
    """
    return mobile_network(text) if space == MOBILE else parse_in(space, text)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())
