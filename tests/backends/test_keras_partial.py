"""Partial channels in Keras: held against a supernet of whole channels, and by difference quotients."""

import numpy as np
import pytest
from attrs import evolve

from bnao.config.settings import NetworkConfig, SearchConfig, TrainingConfig
from bnao.errors import ConfigError
from bnao.protocols import Mixture, Pass
from bnao.space.mixture import mixture_of, mixture_shape
from bnao.space.spaces import SPACES, space_named
from bnao.streams import stream

pytest.importorskip("keras")

from bnao.backends.keras.supernet import KerasSupernet


def made(space="nas-bench-201", **options):
    network = NetworkConfig(space=space, channels=8, cells=1, image=(8, 8, 3), share_over="source", **options)
    training = TrainingConfig(weight_decay=0.0, gradient_norm=0.0)
    return KerasSupernet(SearchConfig(network=network, training=training), network)


def given(architecture, b=8, **options):
    rng = stream(0, "partial")
    images = rng.standard_normal((b, 8, 8, 3)).astype(np.float32)
    return Pass(architecture, images, rng.integers(10, size=b), **options)


def unshuffled(state, parts=4):
    """Return a state in which what reads a cell's output reads it in the order before channels were shuffled."""
    found = {}
    for name, value in state.items():
        axis = None
        if name.endswith(("residual.0.kernel", "shortcut.kernel")) or name == "classifier.weight":
            axis = 1
        elif name.startswith("head.norm"):
            axis = 0
        if axis is None:
            found[name] = value
        else:
            order = np.arange(value.shape[axis]).reshape(-1, parts).T.ravel()
            found[name] = np.take(value, order, axis)
    return found


def test_identities_of_all_parts_are_a_shuffle_of_the_channels():
    parted, whole = made(partial_channels=4), made()
    operations = SPACES["nas-bench-201"].operations
    weights = np.zeros(mixture_shape(SPACES["nas-bench-201"]))
    weights[0, 3, operations.index("skip_connect")] = 0.6  # the edge from the input to the last node alone
    one = given(Mixture(weights))
    own = unshuffled(parted.state())
    own = {name: own[name] if ".nodes." not in name else value for name, value in whole.state().items()}
    whole.load_state(own)

    found, expected = (supernet.logits(one.architecture, one.images) for supernet in (parted, whole))

    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_the_slope_has_what_goes_past_the_operations():
    supernet = made(partial_channels=4)
    weights = np.exp(stream(2, "partial").standard_normal(mixture_shape(SPACES["nas-bench-201"]))) / 5
    weights[..., 3] = 0.0
    one = given(Mixture(weights), learn=False, slope="used")

    (outcome,) = supernet.step([one], rate=0.1)

    assert (outcome.slope[..., 0] != 0).all()  # of none, which has no other part
    assert (outcome.slope[..., 3] == 0).all()
    direction = outcome.slope / np.linalg.norm(outcome.slope)
    losses = [
        supernet.step([evolve(one, architecture=Mixture(weights + by * direction), slope="no")], rate=0.1)[0].loss
        for by in (1e-3, -1e-3)
    ]
    assert (losses[0] - losses[1]) / 2e-3 == pytest.approx(np.linalg.norm(outcome.slope), rel=0.05)


def test_a_path_is_its_mixture_and_learns_in_a_space_of_reductions():
    supernet, space = made("darts", partial_channels=4, nodes=1), space_named("darts", 1)
    (genotype,) = space.random_genotypes(1, stream(1, "partial"))
    one = given(genotype)
    before = supernet.state()

    path, mixed = (supernet.logits(each, one.images) for each in (genotype, mixture_of(genotype, space)))
    supernet.step([one], rate=0.1)

    assert (path == mixed).all()
    after = supernet.state()
    assert any((after[name] != value).any() for name, value in before.items())
    with pytest.raises(ConfigError, match="partial_channels is 4; a Keras model of paths has whole ones"):
        supernet.net({"image": one.images, "arch": supernet.net.arch_of(genotype, len(one.images))})
