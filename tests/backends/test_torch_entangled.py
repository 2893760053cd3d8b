"""Supernets in PyTorch whose kernels are entangled, whose norms train nothing, or whose weights are split."""

import json

import numpy as np
import pytest
from attrs import evolve
from click.testing import CliRunner

from bnao.cli import main
from bnao.config.settings import (
    SPACE_NAMES,
    ControllerConfig,
    DataConfig,
    MachineConfig,
    NetworkConfig,
    SearchConfig,
    TrainingConfig,
)
from bnao.network.parameters import operation_norms, supernet_shapes
from bnao.network.state import without_momenta
from bnao.protocols import Pass
from bnao.run import Run
from bnao.searches import resumed_search, run_search
from bnao.space.spaces import space_named
from bnao.strategies.inheritance import first_weights, inherit_weights
from bnao.strategies.journal import read_supernet
from bnao.streams import stream
from bnao.testing import small_dataset
from tests.backends import entangling

pytest.importorskip("torch")


def made(network, **training):
    from bnao.backends.torch.supernet import TorchSupernet

    training = TrainingConfig(**{"weight_decay": 0.0, "gradient_norm": 0.0, **training})
    return TorchSupernet(SearchConfig(network=network, training=training), network)


# of 32 x 32 pixels states are large enough to be computed in groups
@pytest.mark.parametrize(("space", "side"), [*((space, 8) for space in SPACE_NAMES), ("darts", 32)])
def test_a_path_of_entangled_kernels_computes_with_the_centres_and_their_gradients_are_summed(space, side):
    entangling.assert_path_computes_with_centres(made, space, side, n=64 if side == 32 else 4)


def test_entangled_training_that_was_stopped_goes_on_bit_for_bit():
    network = entangling.network_of("nas-bench-201", entangle=True, share_over="cell")
    genotypes = space_named("nas-bench-201").random_genotypes(4, stream(0, "entangled"))
    images, labels = entangling.batch(network)
    whole, resumed = made(network), made(network)

    for place, genotype in enumerate(genotypes):
        if place == 2:
            resumed.load_state(whole.state())
        for supernet in (whole, resumed)[: 1 + (place >= 2)]:
            supernet.step([Pass(genotype, images, labels)], rate=0.1)
        whole.logits(genotype, images)

    ours, theirs = whole.state(), resumed.state()
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)


def test_a_stand_alone_network_inherits_the_centre():
    network = entangling.network_of("nas-bench-201", entangle=True)
    state = without_momenta(made(network).state())
    genotype = space_named("nas-bench-201").parse("0:nor_conv_1x1;0:none+1:none;0:none+1:none+2:nor_conv_3x3")

    inherited = inherit_weights(genotype, network, state, "runs/a", entangled=True)

    assert inherited.parameters == inherited.of
    place = "cells.0.nodes.{}.edges.{}.nor_conv_{}.kernel"
    own, whole = inherited.weights[place.format(0, 0, "1x1")], state[place.format(0, 0, "3x3")]
    assert (own == whole[:, :, 1:2, 1:2]).all()
    assert (inherited.weights[place.format(2, 2, "3x3")] == state[place.format(2, 2, "3x3")]).all()


@pytest.mark.parametrize("idle", ["path", "dense"])
@pytest.mark.parametrize("space", ["nao", "nas-bench-201"])
def test_norms_of_operations_that_are_not_trained_stay_as_they_begin(space, idle):
    network = entangling.network_of(space)
    supernet = made(network, norm_affine=False, weight_decay=0.01, idle_momentum=idle)
    genotypes = space_named(space, network.nodes).random_genotypes(6, stream(0, "affine"))
    before = without_momenta(supernet.state())
    images, labels = entangling.batch(network)

    supernet.step([Pass(genotype, images, labels) for genotype in genotypes], rate=0.1)

    after = supernet.state()
    moved = {name for name in before if (before[name] != after[name]).any()}
    fixed = operation_norms(network)
    assert not moved & fixed
    assert not {name for name in after if name.removeprefix("momentum.") in fixed and name.startswith("momentum.")}
    assert {name for name in before if name.startswith("stem") or name == "classifier.bias"} <= moved
    assert any(before[name].ndim == 4 for name in moved if ".nodes." in name)
    again = made(network, norm_affine=False, idle_momentum=idle)
    again.load_state(after)
    assert all((value == after[name]).all() for name, value in again.state().items())


class Stopped(Exception):
    """A search is stopped where a test wants it."""


@pytest.mark.parametrize("stop", [3, 9, 13])
def test_a_search_that_splits_on_its_way_and_scores_log_likelihoods_resumes_bit_for_bit(tmp_path, stop):
    dataset = small_dataset()
    parts = {name: getattr(dataset, name) for name in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(tmp_path / "images.npz", **parts)
    config = SearchConfig(
        rounds=2, pool=4, new=3, n_seeds=2, steps=8, rerank_epochs=0, score="log-likelihood", checkpoint_seconds=0,
        network=NetworkConfig(space="nas-bench-201", channels=4, cells=1, share_over="cell"),
        data=DataConfig(data=str(tmp_path / "images.npz"), dev_share=0.3, dev_augment=True, pad=1),
        training=TrainingConfig(batch_size=16, split_at="0.25:node,0.75:edge", rank_loss="parameters"),
        controller=ControllerConfig(controller="evolution"), machine=MachineConfig(threads=1),
    )  # fmt: skip
    seen = []

    def listen(event):
        seen.append(event["event"])
        if seen.count("step") == stop:
            raise Stopped

    with pytest.raises(Stopped):
        run_search(config, tmp_path / "stopped", listen=listen)
    with Run.open(tmp_path / "stopped") as run:
        resumed = resumed_search(run, None).search(run)
    whole = run_search(config, tmp_path / "whole")

    assert resumed == whole
    assert all(entry.score < 0 and entry.standard_error is None for entry in whole.ranked)
    ours, theirs = (read_supernet(tmp_path / name) for name in ("stopped", "whole"))
    network = dataset.network(evolve(config.network, share_over="edge"))
    assert ours.keys() == supernet_shapes(network).keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)
    told = json.loads(CliRunner().invoke(main, ["score", str(tmp_path / "whole"), "--json", "--quiet"]).stdout)
    assert all(entry["run_score"] == entry["log_likelihood"] for entry in told["scores"])
    # a search that begins with them shares as little
    assert first_weights(str(tmp_path / "whole"), network).keys() == ours.keys()
