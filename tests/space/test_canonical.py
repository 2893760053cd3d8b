import itertools

import numpy as np
import pytest
from attrs import evolve

from bnao.space.canonical import computed_form
from bnao.space.genotype import Cell, Genotype, Node
from bnao.space.notation.notations import parse
from bnao.space.spaces import SPACES
from bnao.streams import stream

NB201 = SPACES["nas-bench-201"]


def form(text, space=NB201):
    return computed_form(parse(text, space))


def every_cell_of_nas_bench_201():
    integers = np.empty((15_625, 1, 6, 1, 2), dtype=np.int64)
    integers[..., 0] = NB201._random_sources(np.random.default_rng(0), integers.shape[:-1])
    integers[:, 0, :, 0, 1] = np.array(list(itertools.product(range(5), repeat=6)))
    return NB201.decode(integers)


def test_dead_edges_say_nothing():
    assert form("|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|none~0|skip_connect~1|none~2|") == form(
        "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|none~0|skip_connect~1|none~2|"
    )


def test_an_identity_hands_its_state_on():
    by_itself = form("|skip_connect~0|+|none~0|none~1|+|none~0|nor_conv_3x3~1|none~2|")

    assert by_itself == form("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")
    assert by_itself != form("|skip_connect~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|")


def test_one_convolution_read_twice_is_not_two_convolutions_of_one_state():
    # node 1 read by both an identity and a pool, against the same of two convolutions of the input
    once = form("|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|none~0|skip_connect~1|skip_connect~2|")
    twice = form("|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|nor_conv_3x3~0|none~1|skip_connect~2|")

    assert once != twice


def test_two_poolings_of_one_state_are_one():
    assert form("|avg_pool_3x3~0|+|avg_pool_3x3~0|none~1|+|none~0|nor_conv_3x3~1|nor_conv_1x1~2|") == form(
        "|avg_pool_3x3~0|+|none~0|skip_connect~1|+|none~0|nor_conv_3x3~1|nor_conv_1x1~2|"
    )


def test_nas_bench_201_has_5259_different_networks_and_one_that_passes_nothing_on():
    cells = every_cell_of_nas_bench_201()
    passes = NB201.passes_on(cells)

    assert len({computed_form(cell) for cell in cells}) == 5_260
    assert len({computed_form(cell) for cell, each in zip(cells, passes, strict=True) if each}) == 5_259


@pytest.mark.parametrize("name", ["nao", "darts", "snas"])
def test_the_order_of_nodes_says_nothing(name):
    space = SPACES[name]
    for genotype in space.random_genotypes(30, stream(0, "order")):
        swapped = Genotype(*[with_two_nodes_swapped(cell) for cell in genotype.cells], output=genotype.output)

        assert computed_form(swapped) == computed_form(genotype)


def with_two_nodes_swapped(cell):
    """Exchange the first two neighbouring nodes that do not read each other, if there are any."""
    for index in range(len(cell.nodes) - 1):
        first, second = cell.nodes[index : index + 2]
        state = cell.inputs + index
        if all(edge.source != state for edge in second.edges):
            exchanged = {state: state + 1, state + 1: state}
            nodes = [*cell.nodes[:index], second, first, *cell.nodes[index + 2 :]]
            renamed = [
                Node([evolve(edge, source=exchanged.get(edge.source, edge.source)) for edge in node.edges])
                if at > index + 1
                else node
                for at, node in enumerate(nodes)
            ]
            return Cell(renamed, cell.inputs)
    return cell


def test_in_a_reduction_cell_an_identity_of_an_input_is_an_operation():
    space = evolve(SPACES["nao"], nodes=2)
    read_on = "0:skip_connect+1:skip_connect;2:sep_conv_3x3+2:avg_pool_3x3"
    pooled = "0:avg_pool_3x3+1:skip_connect;2:sep_conv_3x3+2:avg_pool_3x3"

    assert form(f"{read_on}|{read_on}", space) != form(f"{read_on}|{pooled}", space)
    normal, reduction = form(f"{read_on}|{read_on}", space)
    assert not any("skip_connect" in label for label, _ in normal[0])
    assert sum(label == "skip_connect/2" for label, _ in reduction[0]) == 2


def test_draws_that_are_distinct_by_what_they_compute_are_no_network_twice():
    drawn = NB201.random_genotypes(3_000, stream(0, "computed"), distinct="computed")
    others = NB201.random_genotypes(1_000, stream(1, "computed"), exclude=drawn, distinct="computed")

    forms = [computed_form(cell) for cell in [*drawn, *others]]

    assert len(set(forms)) == 4_000
