"""Supernets in Keras whose kernels are entangled, held against ones whose kernels are the centres."""

import numpy as np
import pytest
from attrs import evolve

from bnao.config.settings import SearchConfig, TrainingConfig
from bnao.network.state import without_momenta
from bnao.protocols import Mixture, Pass
from bnao.space.mixture import mixture_shape
from bnao.space.spaces import space_named
from bnao.streams import stream
from tests.backends import entangling

pytest.importorskip("keras")

from bnao.backends.keras.supernet import KerasSupernet


def made(network):
    training = TrainingConfig(weight_decay=0.0, gradient_norm=0.0)
    return KerasSupernet(SearchConfig(network=network, training=training), network)


def test_a_path_of_entangled_kernels_computes_with_the_centres_and_their_gradients_are_summed():
    entangling.assert_path_computes_with_centres(made, "nao")


def test_a_mixture_of_entangled_kernels_computes_with_the_centres():
    network = entangling.network_of("nas-bench-201")
    entangled, plain = made(evolve(network, entangle=True)), made(network)
    plain.load_state(entangling.untangled(without_momenta(entangled.state()), network))
    weights = stream(0, "mixture").random(mixture_shape(space_named("nas-bench-201")))
    images, labels = entangling.batch(network)
    one = Pass(Mixture(weights), images, labels, slope="all")

    ours, theirs = (supernet.gradients([one]) for supernet in (entangled, plain))

    assert np.allclose(ours[0][0].slope, theirs[0][0].slope, atol=1e-4)
    name = "cells.0.nodes.0.edges.0.{}.kernel"
    of_whole, of_centre = (theirs[1][name.format(operation)] for operation in ("nor_conv_3x3", "nor_conv_1x1"))
    of_whole[..., 1:2, 1:2] += of_centre
    assert np.allclose(ours[1][name.format("nor_conv_3x3")], of_whole, atol=1e-4)
    assert name.format("nor_conv_1x1") not in ours[1]
