import numpy as np
import pytest

from bnao.space.liveness import flow
from bnao.space.notation.notations import parse
from bnao.space.spaces import SPACES
from bnao.streams import stream

NB201 = SPACES["nas-bench-201"]


def flow_of(text, space=NB201):
    return flow(space.encode([parse(text, space)])[:, 0], space)


def test_a_state_is_reaching_where_edges_other_than_none_lead_to_the_output():
    found = flow_of("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|skip_connect~1|none~2|")

    assert found.reaching[0].tolist() == [True, True, False, True]
    assert found.depends[0, :, 0].tolist() == [True, True, True, True]


def test_an_edge_that_reads_zeros_is_dead_though_it_reaches_the_output():
    # node 1 is zero, and node 3 reads it
    found = flow_of("|none~0|+|skip_connect~0|none~1|+|none~0|nor_conv_3x3~1|skip_connect~2|")

    live = found.live_edges(found.fed(np.array([[True]])), NB201)[0]

    assert live.tolist() == [False, True, False, False, False, True]


def test_341_cells_of_nas_bench_201_pass_nothing_on():
    rng = np.random.default_rng(0)
    every = np.stack(np.meshgrid(*[range(5)] * 6, indexing="ij"), axis=-1).reshape(-1, 6)
    integers = np.empty((15_625, 1, 6, 1, 2), dtype=np.int64)
    integers[..., 0] = NB201._random_sources(rng, integers.shape[:-1])
    integers[:, 0, :, 0, 1] = every

    # of the four ways from input to output (03, 013, 023, 0123) each edge is open with chance 4/5: by inclusion and
    # exclusion over the 64 sets of open edges 15,284 of the 15,625 cells have an open way
    assert int(flow(integers[:, 0], NB201).passed.sum()) == 15_284 == 15_625 - 341


def test_cells_that_pass_nothing_on_are_not_drawn():
    drawn = NB201.random_genotypes(2_000, stream(0, "drawn"))

    assert NB201.passes_on(drawn).all()
    snas = SPACES["snas"].random_genotypes(500, stream(0, "drawn"))
    assert SPACES["snas"].passes_on(snas).all()


@pytest.mark.parametrize("name", ["nao", "nao-large", "darts", "nasnet"])
def test_without_none_every_cell_passes_something_on(name):
    drawn = SPACES[name].random_genotypes(50, stream(0, "drawn"))

    assert SPACES[name].passes_on(drawn).all()
