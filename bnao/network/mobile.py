"""Networks that are not made of cells, which Table 5 sets beside: their size, counted along their layers.

Sources: *MobileNets*, Howard et al., arXiv 1704.04861, Table 1; *MobileNetV2*, Sandler et al., arXiv 1801.04381,
Table 2; *MnasNet*, Tan et al., arXiv 1807.11626, Fig. 7 (MnasNet-A1).
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable

from attrs import frozen

from bnao.errors import GenotypeError
from bnao.network.stack import halved

Size = tuple[int, int]
#: height, width and channels of its images as they are shown to networks, and its classes
IMAGENET = (224, 224, 3), 1000


class _Count:
    """Adds up the layers of a network from the images on.

    Attributes:
        parameters, multiply_adds: so far; biases and norms add no multiply-adds.
        channels, size: of the state so far.
    """

    def __init__(self, image: tuple[int, int, int]) -> None:
        self.parameters = self.multiply_adds = 0
        self.size: Size = image[:2]
        self.channels = image[2]

    def convolution(self, channels: int, kernel: int, stride: int = 1) -> None:
        """A convolution, padded by half the kernel, and its norm."""
        self._convolution(channels, self.channels * kernel**2, stride)

    def depthwise(self, kernel: int, stride: int) -> None:
        """A convolution of each channel by itself, and its norm."""
        self._convolution(self.channels, kernel**2, stride)

    def _convolution(self, channels: int, fan_in: int, stride: int) -> None:
        if stride == 2:
            self.size = halved(self.size)
        self.parameters += channels * fan_in + 2 * channels
        self.multiply_adds += channels * fan_in * math.prod(self.size)
        self.channels = channels

    def squeeze(self, hidden: int) -> None:
        """Squeeze and excitation: two layers with a bias, of the mean over all pixels."""
        weights = 2 * self.channels * hidden
        self.parameters += weights + hidden + self.channels
        self.multiply_adds += weights

    def linear(self, classes: int) -> None:
        """The classifier, with a bias, of the mean over all pixels."""
        self.parameters += (self.channels + 1) * classes
        self.multiply_adds += self.channels * classes


def _inverted(count: _Count, channels: int, kernel: int, stride: int, expansion: int, squeezes: bool = False) -> None:
    """Count an inverted bottleneck; what it squeezes to is a quarter of the channels it is given."""
    given = count.channels
    if expansion > 1:
        count.convolution(expansion * given, 1)
    count.depthwise(kernel, stride)
    if squeezes:
        count.squeeze(given // 4)
    count.convolution(channels, 1)


def _mobilenet_v1(count: _Count) -> None:
    count.convolution(32, 3, 2)
    for channels, stride, times in (
        *((64, 1, 1), (128, 2, 1), (128, 1, 1), (256, 2, 1), (256, 1, 1)),
        *((512, 2, 1), (512, 1, 5), (1024, 2, 1), (1024, 1, 1)),
    ):
        for _ in range(times):
            count.depthwise(3, stride)
            count.convolution(channels, 1)


def _blocks(count: _Count, rows: tuple[tuple[int, int, int, int, int, bool], ...]) -> None:
    """Count the stem, rows of (expansion, channels, times, first stride, kernel, squeezes) of blocks, and the head."""
    count.convolution(32, 3, 2)
    for expansion, channels, times, stride, kernel, squeezes in rows:
        for index in range(times):
            _inverted(count, channels, kernel, 1 if index else stride, expansion, squeezes)
    count.convolution(1280, 1)


def _mobilenet_v2(count: _Count) -> None:
    rows = (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
    _blocks(count, tuple((*row, 3, False) for row in rows))


def _mnasnet_a1(count: _Count) -> None:
    _blocks(
        count,
        (
            (1, 16, 1, 1, 3, False), (6, 24, 2, 2, 3, False), (3, 40, 3, 2, 5, True), (6, 80, 4, 2, 3, False),
            (6, 112, 2, 1, 3, True), (6, 160, 3, 2, 5, True), (6, 320, 1, 1, 3, False),
        ),
    )  # fmt: skip


@frozen
class MobileNetwork:
    """A network for comparison.

    Attributes:
        name: what it is called.
        source: the paper that it is from.
        claimed_parameters, claimed_multiply_adds: by its authors, in millions, for ImageNet.
        error, top_5_error: theirs on ImageNet, percent; None where they said none.
    """

    name: str
    source: str
    claimed_parameters: float
    claimed_multiply_adds: float
    error: float
    top_5_error: float | None
    _layers: Callable[[_Count], None]

    def counts(self, image: tuple[int, int, int] = IMAGENET[0], classes: int = IMAGENET[1]) -> tuple[int, int]:
        """Return the trainable parameters, and the multiply-adds for one image.

        Args:
            image: height, width and channels.
            classes: of the classifier.

        >>> [network.counts() for network in MOBILE_NETWORKS]
        [(4231976, 568740352), (3504872, 300774272), (3887038, 311579072)]
        """
        count = _Count(image)
        self._layers(count)
        count.linear(classes)
        return count.parameters, count.multiply_adds


MOBILE_NETWORKS = (
    MobileNetwork("MobileNetV1", "arXiv 1704.04861, Table 8", 4.2, 569, 29.4, None, _mobilenet_v1),
    MobileNetwork("MobileNetV2", "arXiv 1801.04381, Table 4", 3.4, 300, 28.0, None, _mobilenet_v2),
    MobileNetwork("MnasNet-A1", "arXiv 1807.11626, Table 1", 3.9, 312, 24.8, 7.5, _mnasnet_a1),
)


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


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())
