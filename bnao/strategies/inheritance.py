"""Inheritance of supernet weights by a stand-alone network: the parameters of its edges, where shapes agree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.config.settings import SHARE_OVER, NetworkConfig, SearchConfig
from bnao.errors import ConfigError, WeightsError
from bnao.network.entanglement import centre, kernel_side, larger_kernel
from bnao.network.keras_file import SUFFIX
from bnao.network.keras_file import read_supernet as read_keras_supernet
from bnao.network.parameters import Shapes, shared_place, stand_alone_shapes, supernet_shapes
from bnao.network.sharing import split_network, split_weights
from bnao.network.stack import rules, stack
from bnao.network.state import State, read_weights
from bnao.protocols import Scorer
from bnao.run import read_config
from bnao.space.genotype import Cell, Genotype, edge_slots
from bnao.space.spaces import space_named
from bnao.strategies.journal import read_supernet, supernet_network


@frozen(eq=False)
class Inheritance:
    """Parameters that came over from a supernet.

    Attributes:
        source: the supernet's run.
        weights: arrays by the stand-alone network's names.
        shapes: all parameters of that network, the auxiliary head's left out.
        missing: those among them that the supernet lacks.
        other: those that have another shape there.
    """

    source: str
    weights: Mapping[str, NDArray[np.float32]]
    shapes: Shapes
    missing: tuple[str, ...]
    other: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """The number of inherited parameters."""
        return sum(value.size for value in self.weights.values())

    @property
    def of(self) -> int:
        """The number of parameters of the network."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as stored beside a training's result."""
        return {
            "run": self.source,
            "parameters": self.parameters,
            "of": self.of,
            "came_over": sorted(self.weights),
            "of_another_shape": list(self.other),
            "not_in_the_supernet": list(self.missing),
        }

    def __str__(self) -> str:
        left = [
            f"{len(names)} {how}, such as {names[0]}"
            for names, how in ((self.other, "have another shape there"), (self.missing, "are not in it"))
            if names
        ]
        return (
            f"{self.parameters:,} of {self.of:,} parameters came over from the supernet of {self.source} "
            f"({len(self.weights)} of {len(self.shapes)} arrays{''.join(f'; {each}' for each in left)})"
        )


def inherit_weights(
    genotype: Genotype,
    network: NetworkConfig,
    state: Mapping[str, NDArray[np.float32]],
    source: str,
    slots: str = "hashed",
    share_over: str = "edge",
    entangled: bool = False,
) -> Inheritance:
    """Return the weights that a genotype's network inherits from a supernet's state.

    An operation's parameters are those of its edge and its source there. A network of more outputs a cell than the
    supernet's (spaces whose number of outputs varies) fits its inputs by other shapes, and its classifier is wider.

    Args:
        genotype: the architecture.
        network: its network's settings.
        state: the supernet's weights, by canonical name.
        source: where they are from, for the report.
        slots: how the supernet's edges chose their weights (``bnao.space.genotype.edge_slots``).
        share_over: which of its edges shared an operation's weights (``bnao.network.sharing``).
        entangled: whether smaller kernels are the centre of larger ones there (``bnao.network.entanglement``).
    """
    operations = space_named(network.space, network.nodes).operations if entangled else ()
    shapes = stand_alone_shapes(genotype, network)
    cells = [genotype.cell(position.reduction) for position in stack(network)]
    chosen = None if rules(network).residual else slots
    weights, missing, other = {}, [], []
    for name, shape in shapes.items():
        held = _in_supernet(name, cells, chosen, share_over)
        larger = larger_kernel(held, operations)
        value = state.get(held if larger is None else larger)
        if value is not None and larger is not None:
            value = centre(value, kernel_side(held))
        if value is None:
            missing.append(name)
        elif value.shape != shape:
            other.append(name)
        else:
            weights[name] = np.array(value)
    return Inheritance(source, weights, shapes, tuple(missing), tuple(other))


def _in_supernet(name: str, cells: Sequence[Cell], slots: str | None, share_over: str) -> str:
    """Return what a parameter is called in the supernet; slots is None where edges have fixed sources."""
    parts = name.split(".")
    if parts[0] != "cells" or parts[2] != "nodes":
        return name
    cell, index, number, operation = ".".join(parts[:2]), int(parts[3]), int(parts[5]), parts[6]
    node = cells[int(parts[1])].nodes[index]
    slot, source = (number, None) if slots is None else (edge_slots(node, slots)[number], node.edges[number].source)
    return ".".join([shared_place(share_over, cell, index, slot, operation, source), *parts[7:]])


def first_weights(folder: str, network: NetworkConfig) -> State:
    """Return the weights that a finished search left, or those of a saved ``Supernet``, for a search to begin with.

    Where the new search's edges share less (``share_over``), each begins with a copy of what it shared.

    Args:
        folder: the finished search's, or a .keras file.
        network: the new search's network.

    Raises:
        RunError: the folder holds no run, or one that is not finished or trained nothing.
        WeightsError: its weights are damaged.
        ConfigError: its supernet is another: a setting differs.
    """
    searched = _left_network(folder)
    for name, theirs, ours in _differences(searched, network):
        raise ConfigError(
            f"from_supernet is {folder}, a search with {name} = {theirs}, and here {name} = {ours}; they must agree"
        )
    state = _left_state(folder)
    if searched.share_over == network.share_over:
        return state
    if SHARE_OVER.index(searched.share_over) < SHARE_OVER.index(network.share_over):
        raise ConfigError(
            f"from_supernet is {folder}, a search with share_over = {searched.share_over}, and here share_over = "
            f"{network.share_over}; weights can be split, not joined: take {searched.share_over} or what shares less"
        )
    return split_weights(state, supernet_shapes(network), searched.share_over)


def _differences(theirs: NetworkConfig, ours: NetworkConfig) -> Iterator[tuple[str, object, object]]:
    """Yield the settings in which two supernets differ, so that one's weights are not the other's: name and values."""
    for name in ("space", "nodes", "channels", "cells", "network", "slots", "partial_channels", "entangle"):
        values = getattr(theirs, name), getattr(ours, name)
        if name == "nodes":
            values = space_named(theirs.space, theirs.nodes).nodes, space_named(ours.space, ours.nodes).nodes
        if values[0] != values[1]:
            yield name, *values


def read_shared_weights(path: Path, network: NetworkConfig) -> State:
    """Read a supernet's weights from a file: a .keras file of a ``Supernet``, or a .safetensors file of a state.

    Args:
        path: the file.
        network: of the supernet that is to take them; its images and classes need not be known.

    Raises:
        BackendError: a .keras file, and the package h5py is absent.
        ConfigError: a .keras file of another supernet; a setting differs.
        WeightsError: no such file, or not a whole one.
    """
    if path.suffix != SUFFIX:
        return read_weights(path)[0]
    saved, state = read_keras_supernet(path)
    differences = [*_differences(saved, network)]
    if saved.share_over != network.share_over:
        differences.append(("share_over", saved.share_over, network.share_over))
    for name, theirs, ours in differences:
        raise ConfigError(f"{path} is a supernet with {name} = {theirs}, and here {name} = {ours}; they must agree")
    return state


def load_first_weights(folder: str, supernet: Scorer) -> None:
    """Let a supernet begin with the weights that a finished search left.

    Args:
        folder: the finished search's.
        supernet: of the new search.

    Raises:
        BnaoError: as ``first_weights``.
        WeightsError: the finished search's supernet has other images or classes.
    """
    state = first_weights(folder, supernet.network)
    try:
        supernet.load_state(state)
    except WeightsError as error:
        raise WeightsError(f"from_supernet is {folder}, whose supernet has other images or classes: {error}") from None


def _left_network(source: str) -> NetworkConfig:
    """Return the network of a saved supernet, or of the one that a finished search left: all splits have been made."""
    if Path(source).suffix == SUFFIX:
        return read_keras_supernet(Path(source))[0]
    config = read_config(Path(source), SearchConfig)
    return split_network(supernet_network(Path(source), config), config.training.split_at)


def _left_state(source: str) -> State:
    """Return the weights of a saved supernet, or those that a finished search left."""
    return read_keras_supernet(Path(source))[1] if Path(source).suffix == SUFFIX else read_supernet(Path(source))


@frozen(eq=False)
class SupernetWeights:
    """The weights that a finished search left.

    Attributes:
        source: the search's folder.
        space: the name of its space.
        state: the weights, by canonical name.
        slots: how its edges chose their weights (``bnao.space.genotype.edge_slots``).
        share_over: which of its edges shared an operation's weights (``bnao.network.sharing``).
        entangle: whether smaller kernels are the centre of larger ones (``bnao.network.entanglement``).
    """

    source: str
    space: str
    state: Mapping[str, NDArray[np.float32]]
    slots: str
    share_over: str
    entangle: bool

    @classmethod
    def of(cls, folder: str, network: NetworkConfig) -> SupernetWeights:
        """Return the supernet of a run, for networks of the same space.

        Raises:
            RunError: the folder holds no run, or one that is not finished or trained nothing.
            WeightsError: its weights are damaged.
            ConfigError: it is a run in another space.
        """
        left = _left_network(folder)
        if left.space != network.space:
            raise ConfigError(
                f"from_supernet is {folder}, a search in space {left.space!r}; the networks to train are "
                f"of space {network.space!r}"
            )
        if left.partial_channels > 1:
            raise ConfigError(
                f"from_supernet is {folder}, a search with partial_channels = {left.partial_channels}; its "
                "operations have fewer channels than those of the networks to train"
            )
        state = _left_state(folder)
        return cls(folder, left.space, state, left.slots, left.share_over, left.entangle)

    def inherited(self, genotype: Genotype, network: NetworkConfig) -> Inheritance:
        """Return the weights that a genotype's network inherits from it."""
        return inherit_weights(genotype, network, self.state, self.source, self.slots, self.share_over, self.entangle)
