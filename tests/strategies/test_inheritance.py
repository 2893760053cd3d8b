"""What comes over from a supernet to a stand-alone network."""

import numpy as np
import pytest
from attrs import evolve

from bnao.config.settings import SHARE_OVER, NetworkConfig, SearchConfig
from bnao.errors import ConfigError, RunError
from bnao.network.parameters import initial_weights, supernet_shapes
from bnao.network.size import count_parameters
from bnao.network.state import to_bytes
from bnao.run import Run
from bnao.space.genotype import edge_slots
from bnao.space.notation.notations import parse
from bnao.space.spaces import SPACES
from bnao.strategies.inheritance import SupernetWeights, inherit_weights
from bnao.strategies.journal import RESULT, WEIGHTS
from bnao.streams import stream


def small(space, channels=4):
    return NetworkConfig(space=space, channels=channels, cells=1, image=(8, 8, 3))


def state_of(network, seed=0):
    return initial_weights(supernet_shapes(network), seed)


@pytest.mark.parametrize("space", ["darts", "snas", "nas-bench-201"])
def test_in_a_space_whose_outputs_do_not_vary_the_whole_network_comes_over(space):
    network = small(space)
    for genotype in SPACES[space].random_genotypes(5, stream(0, "inheritance")):
        taken = inherit_weights(genotype, network, state_of(network), "runs/a")

        assert (taken.missing, taken.other) == ((), ())
        assert taken.parameters == taken.of == count_parameters(genotype, network)


def test_an_operation_takes_the_weights_of_its_edge_and_its_source():
    network = small("nao")
    genotype, state = parse("NAONet-V2"), state_of(network)

    taken = inherit_weights(genotype, network, state, "runs/a").weights

    # node 1 of the normal cell is 0:sep_conv_3x3+2:skip_connect, and cell 0 is a normal one
    slot = edge_slots(genotype.normal.nodes[1])[0]
    own = taken["cells.0.nodes.1.edges.0.sep_conv_3x3.depthwise_1"]
    assert (own == state[f"cells.0.nodes.1.edges.{slot}.sep_conv_3x3.source.0.depthwise_1"]).all()
    # node 1 of the reduction cell is 1:sep_conv_3x3+2:avg_pool_3x3, and cell 1 is one
    slot = edge_slots(genotype.reduction.nodes[1])[0]
    own = taken["cells.1.nodes.1.edges.0.sep_conv_3x3.depthwise_1"]
    assert (own == state[f"cells.1.nodes.1.edges.{slot}.sep_conv_3x3.source.1.depthwise_1"]).all()


def test_in_nao_all_comes_over_but_what_reads_the_concatenated_outputs():
    network = small("nao")
    taken = inherit_weights(parse("NAONet-V2"), network, state_of(network), "runs/a")

    # both cells give out four states, so each later cell's fits and the classifier are four times as wide
    left = [*taken.missing, *taken.other]
    assert {name.split(".")[2] for name in left if name.startswith("cells.")} == {"fit"}
    # cell 2's last input has the supernet's channels already, and there is no fit
    assert "cells.2.fit.1.kernel" in taken.missing
    assert "classifier.weight" in taken.other
    assert "stem.0.kernel" in taken.weights
    assert taken.parameters == taken.of - sum(np.prod(taken.shapes[name]) for name in left)
    assert str(taken).startswith(
        f"{taken.parameters:,} of {taken.of:,} parameters came over from the supernet of runs/a"
    )
    assert taken.to_json()["of_another_shape"] == list(taken.other)


def test_of_a_supernet_of_other_channels_nothing_of_a_cell_comes_over():
    network = small("darts")

    taken = inherit_weights(parse("DARTS_V2"), network, state_of(evolve(network, channels=6)), "runs/a")

    assert set(taken.weights) == {"classifier.bias"}
    assert f"{len(taken.other)} have another shape there, such as {taken.other[0]}" in str(taken)


def test_a_run_of_another_space_or_that_is_not_finished_is_refused(tmp_path):
    config = evolve(SearchConfig(), network=small("darts"))
    with Run.create(tmp_path / "run", config) as run:
        with pytest.raises(ConfigError, match="a search in space 'darts'; the networks to train are of space 'nao'"):
            SupernetWeights.of(str(run.folder), small("nao"))
        with pytest.raises(RunError, match="is not finished; only then it has weights"):
            SupernetWeights.of(str(run.folder), small("darts"))
        run.write_json(RESULT, {})
        with pytest.raises(RunError, match=r"its genotypes share no weights \(sharing none, or a table\)"):
            SupernetWeights.of(str(run.folder), small("darts"))
        run.write(WEIGHTS, to_bytes(state_of(small("darts"))))

        supernet = SupernetWeights.of(str(run.folder), small("darts"))

    assert supernet.inherited(parse("DARTS_V2"), small("darts")).missing == ()


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError):
        SupernetWeights.of(str(tmp_path), small("nao"))


@pytest.mark.parametrize("space", ["nao", "darts", "nas-bench-201"])
@pytest.mark.parametrize("share_over", SHARE_OVER)
def test_operations_come_over_from_a_supernet_whose_edges_share_them(space, share_over):
    network = evolve(small(space), share_over=share_over)
    genotype = SPACES[space].random_genotypes(1, stream(0, "inheritance"))[0]

    taken = inherit_weights(genotype, network, state_of(network), "runs/a", share_over=share_over)

    assert not [name for name in taken.missing if ".nodes." in name]
