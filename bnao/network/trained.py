"""A trained stand-alone network by itself: its weights, and all that they need to be used elsewhere.

What a weights file of ``bnao evaluate`` says of itself is written and read here, so that the file alone is enough.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.config.settings import NetworkConfig
from bnao.data.dataset import LabelledImages
from bnao.errors import BnaoError, GenotypeError, WeightsError
from bnao.network.mobile import Trainable
from bnao.network.parameters import Shapes, stand_alone_shapes
from bnao.network.stack import rules
from bnao.network.state import State, check_state
from bnao.network.walk import layout
from bnao.space.genotype import Cell, Edge, Genotype, Node
from bnao.space.spaces import SearchSpace, space_named

#: in an exported archive, what ``Trained.about`` says
ABOUT_FILE = "bnao.json"

_AUXILIARY = "auxiliary."


@frozen(eq=False, slots=False)
class Trained:
    """A network that was trained, as plain data.

    Attributes:
        genotype: its cells.
        network: stack, classes and image.
        mean, std: of each channel, in units where white is 1; images are normalised by them. No ``std`` is 0.
        class_names: one for each class.
        weights: parameters and running statistics by canonical name, of what its output depends on.
        seed: of its training, if that is known.
        test_error: share of test images misclassified, in [0, 1], if that is known.
    """

    genotype: Genotype
    network: NetworkConfig
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]
    weights: State = attrs.field(repr=False)
    seed: int | None = None
    test_error: float | None = None

    @property
    def live(self) -> Genotype:
        """The genotype with ``none`` in place of every edge that does not reach the output."""
        return reaching(self.genotype)

    @property
    def shapes(self) -> Shapes:
        """The trainable parameters that its output depends on."""
        return stand_alone_shapes(self.live, self.network)

    @property
    def parameters(self) -> int:
        """The number of trainable parameters that its output depends on."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def normalised(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalise images (n, height, width, channels), 0..1, like those the network was trained on."""
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        normalised: NDArray[np.float32] = (images - mean) / std
        return normalised

    def about(self) -> dict[str, Any]:
        """Return the metadata of its file, as plain data."""
        return _about(self.genotype, self.network, self.mean, self.std, self.class_names, self.seed, self.test_error)

    def about_json(self) -> str:
        """Return ``about`` as JSON, which exported files carry: genotype, network, normalisation, class names."""
        return json.dumps(self.about())

    def architecture(self) -> dict[str, Any]:
        """Return the architecture as plain data that can be read without bnao; see ``bnao.network.walk.layout``."""
        return {
            **layout(self.live, self.network),
            "class_names": [*self.class_names],
            "image": [*self.network.image],
            "mean": [*self.mean],
            "std": [*self.std],
        }

    def check_is(self, genotype: Genotype, where: str, space: SearchSpace | None = None) -> None:
        """Refuse a network of another genotype.

        Args:
            genotype: the one that it must be of.
            where: how an error calls the network.
            space: what that genotype is of; None: the network's own space.

        Raises:
            GenotypeError: the first parameter that differs is named, or the first edge where none does.
        """
        network = self.network if space is None else attrs.evolve(self.network, space=space.name, nodes=space.nodes)
        if genotype == self.genotype and rules(network) == rules(self.network):
            return
        own, wanted = stand_alone_shapes(self.genotype, self.network), stand_alone_shapes(genotype, network)
        other = f"{where} is of another genotype:"
        # parameters stand in the order of the network
        for mine, (name, shape) in zip(own, wanted.items(), strict=False):
            if name not in own:
                raise GenotypeError(f"{other} it lacks {name} of shape {shape}")
            if mine not in wanted:
                raise GenotypeError(f"{other} it has {mine}, which the given genotype's network lacks")
            if own[name] != shape:
                raise GenotypeError(f"{other} its {name} has shape {own[name]}, the given genotype's {shape}")
        if network.space != self.network.space:
            raise GenotypeError(f"{other} it is of space {self.network.space!r}, the given one of {network.space!r}")
        raise GenotypeError(f"{other} {_first_other_edge(self.genotype, genotype)}; their parameters are alike")


def about_training(
    genotype: Trainable, network: NetworkConfig, dataset: LabelledImages, seed: int, test_error: float
) -> dict[str, Any]:
    """Return the metadata of the weights file of a stand-alone training.

    Args:
        genotype: what was trained.
        network: stack, classes and image.
        dataset: on whose train part it was trained, and is normalised by.
        seed: of the training.
        test_error: in [0, 1].
    """
    std = np.where(dataset.std > 0, dataset.std, 1.0)  # as ``Dataset.normalised`` has it
    mean, names = tuple(dataset.mean.tolist()), dataset.class_names
    return _about(genotype, network, mean, tuple(std.tolist()), names, seed, test_error)


def _about(
    genotype: Trainable,
    network: NetworkConfig,
    mean: Sequence[float],
    std: Sequence[float],
    class_names: Sequence[str],
    seed: int | None,
    test_error: float | None,
) -> dict[str, Any]:
    return {
        "genotype": str(genotype),
        "seed": seed,
        "test_error": test_error,
        "network": attrs.asdict(network),
        "mean": list(mean),
        "std": list(std),
        "class_names": list(class_names),
    }


def trained_of(state: State, about: Mapping[str, Any], where: str, *, whole: bool = True) -> Trained:
    """Return the network of a weights file.

    Args:
        state: its arrays by canonical name; an auxiliary head's are left out.
        about: what it says of itself.
        where: how an error calls it.
        whole: whether it has the parameters that its output does not depend on.

    Raises:
        WeightsError: it does not say which network it is of, or its arrays are not that network's.
    """
    if "network" not in about:
        raise WeightsError(
            f"{where} does not say which network it is of; give weights that this version's bnao evaluate wrote, "
            f"trainings/*.safetensors in its folder, or a file that bnao export wrote"
        )
    try:
        network = NetworkConfig(**about["network"])
        read = Trained(
            genotype=space_named(network.space, network.nodes).parse(about["genotype"]),
            network=network,
            mean=_numbers(about["mean"], network.image[2]),
            std=_numbers(about["std"], network.image[2]),
            class_names=tuple(map(str, about["class_names"])),
            weights={},
            seed=about["seed"],
            test_error=about["test_error"],
        )
        if min(read.std) <= 0 or len(read.class_names) != network.classes:
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f": {error}" if isinstance(error, BnaoError) else ""
        raise WeightsError(f"what {where} says of its network is not what bnao writes{what}") from None
    own = {name: value for name, value in state.items() if not name.startswith(_AUXILIARY)}
    held = with_statistics(stand_alone_shapes(read.genotype, network) if whole else read.shapes)
    check_state(own, held, where)
    weights = {name: np.array(own[name], np.float32, order="C") for name in with_statistics(read.shapes)}
    return attrs.evolve(read, weights=weights)


def with_statistics(shapes: Shapes) -> Shapes:
    """Return the shapes with those of the running means and variances of their norms.

    >>> with_statistics({"norm.scale": (4,), "norm.shift": (4,)})
    {'norm.scale': (4,), 'norm.shift': (4,), 'norm.mean': (4,), 'norm.variance': (4,)}
    """
    norms = {name.removesuffix(".scale"): shape for name, shape in shapes.items() if name.endswith(".scale")}
    return {
        **shapes,
        **{f"{norm}.{statistic}": shape for norm, shape in norms.items() for statistic in ("mean", "variance")},
    }


def reaching(genotype: Genotype) -> Genotype:
    """Return the genotype with ``none`` in place of every edge that does not reach its network's output.

    In a space of two cells every node reaches it, so nothing changes.

    >>> str(reaching(Genotype.parse("0:skip_connect;0:nor_conv_3x3+1:none", output="last node")))
    '0:none;0:nor_conv_3x3+1:none'
    """
    if genotype.reduction is not None:
        return genotype
    cell = genotype.normal
    nodes = [
        node if cell.inputs + index in cell.live_states else Node([Edge(edge.source, "none") for edge in node.edges])
        for index, node in enumerate(cell.nodes)
    ]
    return attrs.evolve(genotype, normal=Cell(nodes, cell.inputs))


def _numbers(values: list[float], n: int) -> tuple[float, ...]:
    numbers = tuple(map(float, values))
    if len(numbers) != n or not all(map(math.isfinite, numbers)):
        raise ValueError
    return numbers


def _first_other_edge(own: Genotype, given: Genotype) -> str:
    for (name, mine), (_, other) in zip(own.named_cells, given.named_cells, strict=True):
        for index, nodes in enumerate(zip(mine.nodes, other.nodes, strict=True)):
            for edge, wanted in zip(*(node.edges for node in nodes), strict=True):
                if edge != wanted:
                    in_cell = f" in the {name} cell" if name else ""
                    return f"its node {index}{in_cell} has the edge {edge}, the given one {wanted}"
    raise AssertionError("they are the same")
