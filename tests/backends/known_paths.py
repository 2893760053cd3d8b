"""A supernet's path in Keras, operation by operation: what graphs and programs of all paths are held against."""

from keras import ops

from bnao.backends.keras.cell import dropped, given_out, layer
from bnao.backends.keras.forward import by_name, joined
from bnao.backends.keras.one_cell import residual
from bnao.backends.keras.operations import edge, edge_layers, zeros
from bnao.backends.keras.used import used_slots
from bnao.network.parameters import shared_place
from bnao.space.genotype import edge_slots


class KnownPath:
    """A cell's output in front of its norm, of a genotype; of NAS-Bench-201's the whole of it.

    Args:
        forward: what the supernet computes.
        arrays: its own and the centres of their kernels, by name.
        genotype: the path.
        masks: of drop path, shape (cells, nodes, edges, b); None: nothing is dropped.
        used: slots of the arrays, where only those of a cell are wanted.
    """

    def __init__(self, forward, arrays, genotype, masks, used=None):
        self.forward, self.genotype, self.masks = forward, genotype, masks
        slots = used_slots(forward.network, genotype, computed=True) if used is None else used
        self.weights = by_name(forward, arrays, slots)

    def __call__(self, position, inputs):
        cell, rules, network = self.genotype.cell(position.reduction), self.forward.space.rules, self.forward.network
        name, weights, norm = f"cells.{position.index}", self.weights, self.forward.norm
        if rules.residual and position.reduction:
            return residual(inputs[1], weights, f"{name}.residual", norm)
        states = list(inputs[-cell.inputs :])
        for index, node in enumerate(cell.nodes):
            total = zeros(states[0], 2 if position.reduction else 1)
            fixed = range(len(node.edges))
            live = not rules.residual or cell.inputs + index in cell.live_states
            slots = fixed if rules.residual else edge_slots(node, network.slots)
            for number, slot, each in zip(fixed, slots, node.edges, strict=True):
                if each.operation == "none" or not live:
                    continue
                stride = 2 if position.reduction and each.source < cell.inputs else 1
                reads = None if rules.residual else each.source
                place = shared_place(network.share_over, name, index, slot, each.operation, reads)
                parameters = layer(weights, place, edge_layers(each.operation, stride))
                output = edge(states[each.source], parameters, each.operation, stride, rules, norm, place)
                mask = None if self.masks is None else self.masks[position.index, index, number]
                total = total + (output if mask is None else dropped(output, mask))
            states.append(total)
        if rules.residual:
            return states[-1]
        outputs = cell.outputs(rules.output)
        given = given_out(position, states, outputs, weights, norm)
        return joined(position, given, outputs if rules.mixes else None, weights)


def logits_of(forward, values, images, genotype, masks=None):
    """Return a path's logits (b, classes)."""
    path = KnownPath(forward, forward.named(values), genotype, masks)
    return forward.through(ops.cast(images, forward.dtype), path.weights, path)
