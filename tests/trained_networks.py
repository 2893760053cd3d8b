"""Networks that pretend to have been trained: weights and statistics are nowhere 0 or 1, so none can be left out."""

import numpy as np

from bnao.network.parameters import initial_weights, stand_alone_shapes
from bnao.network.trained import Trained, trained_of, with_statistics
from bnao.streams import stream


def some_weights(shapes):
    """Values for parameters and running statistics of these shapes."""
    state = initial_weights(shapes, seed=0)
    for name, value in state.items():
        drawn = stream(0, f"export {name}").random(value.shape, np.float32)
        if name.endswith((".scale", ".variance")):
            state[name] = 0.5 + drawn
        elif value.ndim == 1:
            state[name] = drawn - 0.5
    return state


def trained_network(genotype, network, class_names=None):
    """A genotype's own network with such weights, as its file would tell it."""
    channels = network.image[2]
    names = class_names or tuple(f"class {number}" for number in range(network.classes))
    mean, std = (0.3, 0.4, 0.6)[:channels], (0.2, 0.25, 0.3)[:channels]
    about = Trained(genotype, network, mean, std, names, {}, seed=0, test_error=0.125).about()
    return trained_of(some_weights(with_statistics(stand_alone_shapes(genotype, network))), about, "w")
