"""Names of the supernet parameters that a genotype uses."""

from __future__ import annotations

from bnao.config.settings import NetworkConfig
from bnao.network.parameters import supernet_shapes
from bnao.space.genotype import Genotype, edge_slots
from bnao.space.spaces import space_named


def path_names(genotype: Genotype, network: NetworkConfig) -> set[str]:
    """Return the supernet's parameters that a genotype uses, from the names alone."""
    path, rule = set(), space_named(network.space).rules.output
    for name in supernet_shapes(network):
        parts = name.split(".")
        if parts[0] != "cells":
            path.add(name)
            continue
        reduction = int(parts[1]) in (network.cells, 2 * network.cells + 1)
        cell = genotype.cell(reduction)
        if parts[2] == "nodes":
            node, slot = cell.nodes[int(parts[3])], int(parts[5])
            if parts[7] == "source":
                edge = node.edges[edge_slots(node, network.slots).index(slot)]
                used = (edge.operation, edge.source) == (parts[6], int(parts[8]))
            else:  # sources are fixed, and the last node alone is the output
                used = node.edges[slot].operation == parts[6] and cell.inputs + int(parts[3]) in cell.live_states
        elif parts[2] == "loose" or parts[3] == "state":
            used = int(parts[3] if parts[2] == "loose" else parts[4]) in cell.outputs(rule)
        else:
            used = True
        if used:
            path.add(name)
    return path
