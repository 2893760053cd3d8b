import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnao.config.settings import NetworkConfig
from bnao.errors import BnaoError, GenotypeError, WeightsError
from bnao.network.parameters import initial_weights, stand_alone_shapes, supernet_shapes
from bnao.network.size import count_parameters, supernet_parameters
from bnao.network.state import check_state, read_weights, to_bytes
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.streams import stream

SMALL = NetworkConfig(channels=4, cells=1, nodes=2, image=(8, 8, 1))
TEXT = "0:sep_conv_3x3+1:skip_connect;0:avg_pool_3x3+2:sep_conv_5x5"

networks = st.builds(
    NetworkConfig,
    nodes=st.integers(1, 5),
    channels=st.integers(1, 12).map(lambda half: 2 * half),
    cells=st.integers(1, 3),
    network=st.sampled_from(["cifar", "imagenet"]),
    classes=st.integers(2, 20),
    image=st.just((32, 32, 3)),
)


def total(shapes):
    return sum(math.prod(shape) for shape in shapes.values())


def genotype_of(network, seed):
    return space_named(network.space, network.nodes).random_genotypes(1, stream(seed, "test"))[0]


@given(networks, st.integers(0, 10_000))
@settings(max_examples=50)
def test_a_networks_shapes_hold_as_many_parameters_as_arithmetic_counts(network, seed):
    genotype = genotype_of(network, seed)

    assert total(stand_alone_shapes(genotype, network)) == count_parameters(genotype, network)


@given(networks)
@settings(max_examples=30)
def test_a_supernets_shapes_hold_as_many_parameters_as_arithmetic_counts(network):
    assert total(supernet_shapes(network)) == supernet_parameters(network)


def test_the_papers_supernet_has_7387350_parameters():
    assert total(supernet_shapes(NetworkConfig(channels=20, cells=3))) == 7_387_350


def test_the_auxiliary_head_adds_what_its_layers_hold():
    genotype = Genotype.parse(f"{TEXT}|{TEXT}", output="loose ends")

    more = total(stand_alone_shapes(genotype, SMALL, auxiliary=True)) - total(stand_alone_shapes(genotype, SMALL))

    # it reads the second reduction cell, whose only loose end is its last node, of 4C = 16 channels
    assert more == (16 * 128 + 256) + (128 * 768 * 4 + 2 * 768) + (768 * 10 + 10)


def test_the_supernet_holds_each_operation_for_each_source_of_each_edge():
    shapes = supernet_shapes(SMALL)

    # node 1 of a normal cell reads states 0, 1 and 2
    for source in (0, 1, 2):
        name = f"cells.0.nodes.1.edges.1.sep_conv_5x5.source.{source}"
        assert shapes[f"{name}.depthwise_1"] == (4, 1, 5, 5)
        assert shapes[f"{name}.pointwise_2"] == (4, 4, 1, 1)
        assert shapes[f"{name}.norm_1.scale"] == (4,)
    assert "cells.0.nodes.1.edges.1.sep_conv_5x5.source.3.depthwise_1" not in shapes
    # in a reduction cell the identity of an input is a reduce, that of a node is none
    assert shapes["cells.1.nodes.1.edges.0.skip_connect.source.1.even"] == (4, 8, 1, 1)
    assert "cells.1.nodes.1.edges.0.skip_connect.source.2.even" not in shapes
    # every cell's output has a slice for every state
    assert [shapes[f"cells.4.output.state.{state}"] for state in range(4)] == [(16, 16, 1, 1)] * 4


def test_an_odd_number_of_channels_is_shared_out_between_the_halves_of_a_reduce():
    shapes = supernet_shapes(NetworkConfig(channels=5, cells=1, nodes=1, image=(8, 8, 1)))

    assert shapes["cells.2.fit.0.even"] == (5, 5, 1, 1)
    assert shapes["cells.2.fit.0.odd"] == (5, 5, 1, 1)


def test_a_genotype_of_another_space_has_no_shapes():
    with pytest.raises(GenotypeError, match="the normal cell has 2 nodes"):
        stand_alone_shapes(Genotype.parse(f"{TEXT}|{TEXT}", output="loose ends"), NetworkConfig())


def test_first_values_depend_on_the_seed_and_the_parameters_name_alone():
    shapes = supernet_shapes(SMALL)
    name = "cells.0.nodes.0.edges.0.sep_conv_3x3.source.0.pointwise_1"

    one, alone, other = (
        initial_weights(shapes, 1)[name],
        initial_weights({name: shapes[name]}, 1)[name],
        initial_weights(shapes, 2)[name],
    )

    assert one.tobytes() == alone.tobytes()
    assert one.tobytes() != other.tobytes()


def test_first_values_are_hes_for_kernels_one_for_scales_and_zero_for_shifts():
    weights = initial_weights(
        {
            "a.kernel": (256, 64, 3, 3),
            "a.norm.scale": (8,),
            "a.norm.shift": (8,),
            "c.weight": (1000, 100),
            "c.bias": (9,),
        },
        seed=0,
    )

    kernel, linear = weights["a.kernel"], weights["c.weight"]
    assert all(value.dtype == np.float32 for value in weights.values())
    assert kernel.var() == pytest.approx(2 / (64 * 9), rel=5 * math.sqrt(2 / kernel.size))
    assert abs(kernel.mean()) < 5 * math.sqrt(2 / (64 * 9) / kernel.size)
    assert np.abs(linear).max() <= 0.1
    assert linear.var() == pytest.approx(0.01 / 3, rel=0.02)
    assert weights["a.norm.scale"].tolist() == [1] * 8
    assert weights["a.norm.shift"].tolist() == [0] * 8
    assert weights["c.bias"].tolist() == [0] * 9


def some_weights():
    return initial_weights(stand_alone_shapes(Genotype.parse(f"{TEXT}|{TEXT}", output="loose ends"), SMALL), seed=0)


def test_weights_come_back_from_their_file_bit_for_bit(tmp_path):
    state, file = some_weights(), tmp_path / "weights.safetensors"
    file.write_bytes(to_bytes(state, {"genotype": TEXT}))

    read, metadata = read_weights(file)

    assert metadata == {"format": 2, "genotype": TEXT}
    assert {name: value.tobytes() for name, value in read.items()} == {
        name: value.tobytes() for name, value in state.items()
    }


def test_an_array_that_is_a_view_is_written_as_it_looks(tmp_path):
    file = tmp_path / "weights.safetensors"
    turned = np.arange(6, dtype=np.float32).reshape(2, 3).T
    file.write_bytes(to_bytes({"turned": turned}))

    assert read_weights(file)[0]["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle has been read",)


def test_files_that_are_no_weights_are_refused_with_their_name_and_a_pickle_is_not_read(tmp_path):
    whole = to_bytes(some_weights())
    contents = {
        "empty": b"",
        "cut": whole[:-1],
        "cut-header": whole[:20],
        "pickle": pickle.dumps(Bomb()),
        "text": b"not weights\n" * 100,
    }
    for name, content in contents.items():
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(WeightsError, match=f"cannot read the weights in .*{name}: "):
            read_weights(file)
    with pytest.raises(WeightsError, match=r"cannot read the weights in .*absent: "):
        read_weights(tmp_path / "absent")
    with pytest.raises(WeightsError, match="cannot read the weights in "):
        read_weights(tmp_path)


def test_weights_that_are_this_networks_pass():
    shapes = supernet_shapes(SMALL)

    check_state(initial_weights(shapes, 0), shapes, "weights")


def test_weights_of_another_network_are_refused_with_the_parameter_named():
    shapes = {"stem.0.kernel": (12, 1, 3, 3), "classifier.bias": (10,)}
    state = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}

    for changed, message in [
        (
            {"stem.0.kernel": state["stem.0.kernel"]},
            "file.safetensors lacks classifier.bias of shape (10,); it belongs to another network",
        ),
        (
            state | {"classifier.bias": np.zeros(9, np.float32)},
            "file.safetensors has classifier.bias of shape (9,); this network's is (10,)",
        ),
        (
            state | {"more": np.zeros(1, np.float32)},
            "file.safetensors has more, which this network lacks; it belongs to another network",
        ),
    ]:
        with pytest.raises(WeightsError) as error:
            check_state(changed, shapes, "file.safetensors")
        assert str(error.value) == message


def test_a_weights_error_is_a_value_error_and_one_of_bnaos():
    assert issubclass(WeightsError, ValueError)
    assert issubclass(WeightsError, BnaoError)
