"""Kernels that are the centre of larger ones: what is left of a supernet's parameters."""

import math

import pytest
from attrs import evolve

from bnao.config.settings import SPACE_NAMES, NetworkConfig
from bnao.network.entanglement import larger_kernel, larger_operation
from bnao.network.parameters import operation_norms, supernet_shapes
from bnao.network.size import supernet_parameters
from bnao.space.spaces import space_named


def network(space):
    return NetworkConfig(space=space, channels=4, cells=1)


@pytest.mark.parametrize("space", SPACE_NAMES)
def test_of_entangled_kernels_the_largest_alone_is_left_and_every_norm(space):
    operations = space_named(space).operations

    own, entangled = supernet_shapes(network(space)), supernet_shapes(evolve(network(space), entangle=True))

    gone = own.keys() - entangled.keys()
    assert gone
    assert all(own[name] == shape for name, shape in entangled.items())
    for name in gone:
        larger = larger_kernel(name, operations)
        assert larger in entangled
        assert own[name][:2] == entangled[larger][:2]  # channels
        assert own[name][2] <= entangled[larger][2]
    assert not {name for name in gone if name.endswith((".scale", ".shift"))}


def test_every_1x1_convolution_of_nas_bench_201_is_gone_from_the_count():
    held = sum(math.prod(shape) for shape in supernet_shapes(evolve(network("nas-bench-201"), entangle=True)).values())

    # 6 edges in one cell at each of 4, 8 and 16 channels
    assert supernet_parameters(network("nas-bench-201")) - held == 6 * (4**2 + 8**2 + 16**2)


def test_a_separable_convolution_is_no_centre_of_a_dilated_or_a_plain_one():
    operations = ("sep_conv_3x3", "dil_conv_5x5", "conv_3x3", "conv_1x3_3x1")

    assert [larger_operation(operation, operations) for operation in operations] == [None] * 4


def test_the_norms_of_operations_are_those_on_edges():
    names = operation_norms(NetworkConfig(channels=4, cells=1))

    assert "cells.0.nodes.0.edges.0.sep_conv_3x3.source.0.norm_1.scale" in names
    # an identity of stride 2 is an operation, the fit of a cell's input and the mix of its output are not
    assert "cells.1.nodes.0.edges.0.skip_connect.source.0.norm.shift" in names
    assert not {name for name in names if ".fit." in name or ".output." in name or "stem" in name or "head" in name}
