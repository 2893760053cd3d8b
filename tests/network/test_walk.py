"""The walk over a network's layers, held against what is counted without it."""

import math

import numpy as np
import pytest

from bnao.config.settings import NetworkConfig
from bnao.network import walk
from bnao.network.parameters import stand_alone_shapes
from bnao.network.size import count_multiply_adds, count_parameters
from bnao.space.genotype import Genotype
from bnao.space.spaces import SPACES
from bnao.streams import stream


class Products:
    """The layers as the multiply-adds of one image; a state is (channels, height, width)."""

    def __init__(self, classes):
        self.classes, self.total_products = classes, 0

    @staticmethod
    def strided(x, stride):
        channels, *size = x
        return channels, *(-(-side // step) for side, step in zip(size, stride, strict=True))

    def convolution(self, x, name, channels, kernel, *, stride=(1, 1), dilation=1, depthwise=False):
        _, *size = self.strided(x, stride)
        self.total_products += math.prod(kernel) * (1 if depthwise else x[0]) * channels * math.prod(size)
        return channels, *size

    def norm(self, x, name):
        return x

    def relu(self, x):
        return x

    def average_pool(self, x, kernel, stride):
        return self.strided(x, (stride, stride))

    max_pool = average_pool

    def quarter(self, x):
        return self.strided(x, (2, 2))

    def shifted(self, x):
        return x

    def zeros(self, x, stride):
        return self.strided(x, (stride, stride))

    def total(self, states):
        assert len(set(states)) == 1
        return states[0]

    def joined(self, states):
        assert len({state[1:] for state in states}) == 1
        return sum(state[0] for state in states), *states[0][1:]

    def normalised(self, images, mean, std):
        return images

    def linear(self, x, name):
        self.total_products += x[0] * self.classes
        return self.classes


def products(genotype, network):
    height, width, channels = network.image
    layers = Products(network.classes)
    walk.logits({**walk.layout(genotype, network), "mean": (), "std": ()}, layers, (channels, height, width))
    return layers.total_products


@pytest.mark.parametrize("kind", ["cifar", "imagenet"])
@pytest.mark.parametrize("space", SPACES)
def test_the_walk_has_the_multiply_adds_and_the_parameters_that_are_counted(space, kind):
    if space == "nas-bench-201" and kind == "imagenet":
        pytest.skip("its networks have the stem of CIFAR")
    # odd sizes, which are halved upwards
    image = (33, 18, 3) if kind == "cifar" else (65, 98, 3)
    network = NetworkConfig(space=space, channels=6, cells=1, network=kind, image=image, classes=7)
    genotypes = SPACES[space].random_genotypes(8, stream(0, "walk"))

    walked = [products(genotype, network) for genotype in genotypes]
    trained = [sum(math.prod(shape) for shape in stand_alone_shapes(g, network).values()) for g in genotypes]

    assert walked == count_multiply_adds(genotypes, network).tolist()
    assert trained == count_parameters(genotypes, network).tolist()
    assert len(np.unique(walked)) > 1


def test_the_cells_of_a_network_give_out_what_its_space_says_whatever_the_genotype_was_made_with():
    network = NetworkConfig(space="darts", channels=4, cells=1, nodes=2)
    text = "0:skip_connect+1:sep_conv_3x3;0:skip_connect+2:sep_conv_5x5"

    shapes = [
        stand_alone_shapes(Genotype.parse(f"{text}|{text}", output=rule), network) for rule in ("nodes", "loose ends")
    ]

    assert shapes[0] == shapes[1]
