"""A supernet's cells in JAX as programs of every architecture, and layers with gradients of their own."""

import numpy as np
import pytest
from attrs import evolve

from bnao.backends import load
from bnao.config.settings import NetworkConfig
from bnao.errors import BackendError
from bnao.space.spaces import space_named
from bnao.streams import stream

try:
    load("keras")
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)

from bnao.backends.keras import ENGINE

if ENGINE != "jax":
    pytest.skip("JAX's programs", allow_module_level=True)

import jax
import jax.numpy as jnp

from bnao.backends.keras import jax_cells, jax_layers
from bnao.backends.keras.forward import Forward, _Planned
from bnao.backends.keras.used import used_slots
from bnao.network.parameters import initial_weights, supernet_shapes
from bnao.network.stacked import stacks_of
from tests.backends.known_paths import KnownPath

NETWORK = NetworkConfig(channels=2, cells=1, nodes=2, image=(8, 8, 3), classes=4)


def normal(name, *shape):
    return jnp.asarray(stream(0, name).standard_normal(shape).astype(np.float32))


def arrays_of(network):
    values = initial_weights(supernet_shapes(network), 0)
    return {name: jnp.asarray(stack.of(values)) for name, stack in stacks_of(network).items()}


def plain_windows(x, side, stride, start, reduce):
    far = side // 2
    return jax.lax.reduce_window(
        x, start, reduce, (1, side, side, 1), (1, stride, stride, 1), [(0, 0), (far, far), (far, far), (0, 0)]
    )


def plain_depthwise(x, kernel, stride, dilation):
    far = dilation * (kernel.shape[0] // 2)
    return jax.lax.conv_general_dilated(
        x,
        jnp.transpose(kernel, (0, 1, 3, 2)),
        (stride, stride),
        [(far, far)] * 2,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


def plain_norm(x, scale, shift):
    centred = x - x.mean((0, 1, 2))
    return centred * jax.lax.rsqrt((centred**2).mean((0, 1, 2)) + 1e-5) * scale + shift


CASES = {
    "depthwise": (
        lambda x, k: jax_layers.depthwise(x, k, 1, 1),
        lambda x, k: plain_depthwise(x, k, 1, 1),
        [(2, 7, 6, 3), (5, 5, 3, 1)],
    ),
    "depthwise of stride 2": (
        lambda x, k: jax_layers.depthwise(x, k, 2, 1),
        lambda x, k: plain_depthwise(x, k, 2, 1),
        [(2, 7, 6, 3), (3, 3, 3, 1)],
    ),
    "dilated depthwise of stride 2": (
        lambda x, k: jax_layers.depthwise(x, k, 2, 2),
        lambda x, k: plain_depthwise(x, k, 2, 2),
        [(2, 7, 6, 3), (3, 3, 3, 1)],
    ),
    "sum": (
        lambda x: jax_layers.sum_pool(x, 3, 2),
        lambda x: plain_windows(x, 3, 2, 0.0, jax.lax.add),
        [(2, 7, 6, 3)],
    ),
    "maximum": (
        lambda x: jax_layers.max_pool(x, 3, 2),
        lambda x: plain_windows(x, 3, 2, -jnp.inf, jax.lax.max),
        [(2, 7, 6, 3)],
    ),
    "norm": (lambda x, *p: jax_layers.batch_norm(x, *p, 1e-5)[0], plain_norm, [(4, 5, 6, 3), (3,), (3,)]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_layer_and_its_gradients_are_those_of_xla(case):
    own, plain, shapes = CASES[case]
    given = [normal(f"argument {index}", *shape) for index, shape in enumerate(shapes)]
    factors = normal("factors", *jax.eval_shape(own, *given).shape)

    def found(function):
        def of(*given):
            output, back = jax.vjp(function, *given)
            return output, *back(factors)

        return jax.jit(of)(*given)

    for one, other in zip(found(own), found(plain), strict=True):
        assert np.asarray(one) == pytest.approx(np.asarray(other), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(
    ("network", "place"),
    [
        (NETWORK, 1),
        (evolve(NETWORK, space="nasnet", nodes=1, share_over="node"), 0),
        (evolve(NETWORK, space="nas-bench-201", nodes=3), 0),
    ],
    ids=["a reduction cell", "nasnet", "nas-bench-201"],
)
def test_one_program_gives_every_architectures_output_and_gradients(network, place):
    forward, arrays = Forward(network), arrays_of(network)
    space, position = space_named(network.space, network.nodes), forward.positions[place]
    genotypes = space.random_genotypes(2, stream(1, "jax cells"))
    inputs = tuple(normal(f"input {index}", 4, 8, 8, position.channels) for index in range(2))
    masks = 2.0 * (normal("masks", len(forward.positions), network.nodes, space.edges, 4) > 0)
    program = jax_cells._forward(jax_cells.Kind(space, position.reduction, masked=True))
    before = program._cache_size()

    def found(output_of, inputs, arrays):
        def loss(inputs, arrays):
            output = output_of(inputs, arrays)
            return (output * normal("factors", *output.shape)).sum()

        return jax.value_and_grad(loss, (0, 1))(inputs, arrays)

    for genotype in genotypes:
        used = used_slots(network, genotype)

        def planned(inputs, arrays, genotype=genotype):
            return _Planned(forward, arrays, genotype, masks)(position, inputs)

        def dispatched(inputs, arrays, genotype=genotype, used=used):
            return KnownPath(forward, arrays, genotype, masks, used)(position, inputs)

        own = found(planned, inputs, arrays)
        plain = jax.jit(lambda *given, of=dispatched: found(of, *given))(inputs, arrays)

        for one, other in zip(jax.tree.leaves(own), jax.tree.leaves(plain), strict=True):
            assert np.asarray(one) == pytest.approx(np.asarray(other), rel=1e-3, abs=1e-3)
    assert program._cache_size() == before + 1
