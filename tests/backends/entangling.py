"""What an entangled supernet computes, beside one whose kernels are each a parameter of their own."""

import numpy as np
from attrs import evolve

from bnao.config.settings import NetworkConfig
from bnao.network.entanglement import centre, kernel_side, larger_kernel
from bnao.network.parameters import supernet_shapes
from bnao.network.state import without_momenta
from bnao.protocols import Pass
from bnao.space.spaces import space_named
from bnao.streams import stream


def network_of(space, image=(8, 8, 3), **options):
    nodes = None if space == "nas-bench-201" else 2
    return NetworkConfig(space=space, nodes=nodes, channels=4, cells=1, image=image, **options)


def batch(network, n=4):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, *network.image), np.float32), rng.integers(network.classes, size=n)


def untangled(state, network):
    """The same weights, each kernel as a parameter of its own."""
    operations = space_named(network.space).operations
    own = {}
    for name in supernet_shapes(evolve(network, entangle=False)):
        larger = larger_kernel(name, operations)
        own[name] = np.array(state[name] if larger is None else centre(state[larger], kernel_side(name)))
    return own


def assert_path_computes_with_centres(made, space, side=8, n=4):
    """Paths of an entangled supernet are those of one whose kernels are its kernels' centres, and so is an update."""
    network = network_of(space, (side, side, 3))
    entangled, plain = made(evolve(network, entangle=True)), made(network)
    before = without_momenta(entangled.state())
    plain.load_state(untangled(before, network))
    genotypes = space_named(space, network.nodes).random_genotypes(3, stream(0, "entangled"))
    images, labels = batch(network, n)

    for genotype in genotypes:
        assert np.allclose(entangled.logits(genotype, images), plain.logits(genotype, images), atol=1e-4)
    for supernet in (entangled, plain):
        supernet.step([Pass(genotype, images, labels) for genotype in genotypes], rate=0.1)
    _assert_sums(before, entangled.state(), plain.state(), network)

    # a step of one path has a program of its own in some backends
    before = without_momenta(entangled.state())
    entangled.load_state(before)
    plain.load_state(untangled(before, network))
    for supernet in (entangled, plain):
        supernet.step([Pass(genotypes[0], images, labels)], rate=0.1)
    _assert_sums(before, entangled.state(), plain.state(), network)


def _assert_sums(before, entangled, plain, network):
    """What an update adds to an entangled kernel is what it adds to all of its parts."""
    operations = space_named(network.space).operations
    moved = {name: value - before[name] for name, value in entangled.items() if name in before}
    start = untangled(before, network)
    expected = {name: np.zeros_like(value) for name, value in moved.items()}
    for name in start:
        larger = larger_kernel(name, operations)
        part = expected[name] if larger is None else centre(expected[larger], kernel_side(name))
        part += plain[name] - start[name]
    assert any(value.any() for value in expected.values())
    for name, value in moved.items():
        assert np.allclose(value, expected[name], rtol=1e-3, atol=1e-4), name
