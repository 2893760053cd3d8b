"""Every strategy that decides at each update, over the Keras supernet, on TensorFlow and on JAX: to the end."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from bnao.backends import load
from bnao.cli import main
from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.config.strategies import STEP_LEVEL
from bnao.errors import BackendError
from bnao.network.state import read_weights
from bnao.protocols import Pass
from bnao.space.mixture import mixture_of
from bnao.space.spaces import SPACES
from bnao.testing import small_dataset

try:
    load("keras")
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)

TINY = {
    "space": "nas-bench-201", "channels": 8, "cells": 1, "batch-size": 16, "dev-share": 0.3, "seed": 3,
    "rounds": 1, "steps": 4, "share-over": "source", "top": 1, "spos-population": 4, "spos-generations": 1,
    "spos-crossovers": 2, "spos-mutations": 2, "fairnas-population": 4, "fairnas-generations": 1,
    "fairnas-crossovers": 2, "fairnas-mutations": 2, "enas-policy-steps": 1, "enas-policy-samples": 2,
    "enas-candidates": 2, "p-darts-depths": "1,1,1", "backend": "keras", "no-mixture-gap": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    data = small_dataset()
    path = tmp_path_factory.mktemp("images") / "corners.npz"
    np.savez(path, x_train=data.x_train, y_train=data.y_train, x_test=data.x_test, y_test=data.y_test)
    return path


# one of each kind of passes; the others are slow to trace, and tested by tox -e keras -- -m slow
QUICK = ("fairnas", "enas", "snas")


@pytest.mark.parametrize(
    "strategy", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in STEP_LEVEL]
)
def test_a_search_by_each_strategy_ends_with_finite_weights_and_a_genotype(images, tmp_path, strategy):
    chosen = {**TINY, "data": images, "out": tmp_path / "run", "strategy": strategy}
    options = [str(text) for name, value in chosen.items() for text in (f"--{name}", value) if text is not None]

    result = CliRunner().invoke(main, ["search", *options, "--quiet"])

    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "run" / "result.json").read_text())
    assert found["strategy"]["updates"] == 4
    assert len(found["ranked"]) == 1
    weights = read_weights(tmp_path / "run" / "supernet.safetensors")[0]
    assert all(np.isfinite(value).all() for value in weights.values())


@pytest.mark.parametrize(
    "text",
    ["0:none;0:none+1:none;0:none+1:none+2:none", "0:none;0:none+1:nor_conv_1x1;0:none+1:none+2:skip_connect"],
)
def test_a_mixture_that_passes_nothing_on_is_computed_and_has_no_slope(text):
    from bnao.backends.keras.supernet import KerasSupernet

    network = NetworkConfig(space="nas-bench-201", channels=4, cells=1, image=(8, 8, 3), classes=4, share_over="source")
    net = KerasSupernet(SearchConfig(network=network), network)
    dead = SPACES["nas-bench-201"].parse(text)
    mixture = mixture_of(dead, SPACES["nas-bench-201"])
    images, labels = np.random.default_rng(0).standard_normal((6, 8, 8, 3)).astype(np.float32), np.arange(6) % 4

    for learn in (False, True):
        (outcome,) = net.step([Pass(mixture, images, labels, learn=learn, slope="used")], rate=0.1)
        assert outcome.slope is not None and not outcome.slope.any()

    assert np.isfinite(net.logits(mixture, images)).all()
