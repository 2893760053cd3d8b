"""Genotypes derived of strengths: the rules, their order, ties."""

import itertools

import numpy as np
import pytest

from bnao.space.mixture import mixture_places, mixture_shape
from bnao.space.spaces import SPACES
from bnao.strategies.derivation import derive, derive_accepted, limit_skips, ranked, strength_of
from bnao.streams import stream


def strengths_of(space, seed=0):
    return stream(seed, "strengths").random(mixture_shape(SPACES[space]))


@pytest.mark.parametrize("space", ["nao", "darts", "snas", "nasnet", "nao-large"])
def test_a_node_reads_the_two_sources_of_the_strongest_operations_by_these(space):
    searched, strengths = SPACES[space], strengths_of(space)
    strengths[..., [operation == "none" for operation in searched.operations]] = 2.0
    places = mixture_places(searched)

    genotype = derive(strengths, searched)

    for of_cell, cell in zip(strengths, genotype.cells, strict=True):
        for index, node in enumerate(cell.nodes):
            best = {}
            for (of, source), row in zip(places, of_cell, strict=True):
                if of == index:
                    named = {
                        name: value for name, value in zip(searched.operations, row, strict=True) if name != "none"
                    }
                    best[source] = max((value, name) for name, value in named.items())
            two = sorted(best, key=lambda source: -best[source][0])[:2]
            assert {(edge.source, edge.operation) for edge in node.edges} == {(s, best[s][1]) for s in two}


def test_none_wins_where_it_may():
    strengths = np.zeros(mixture_shape(SPACES["snas"]))
    strengths[..., 0] = 1.0
    assert "none" not in str(derive(strengths, SPACES["snas"]))
    operations = {
        edge.operation for node in derive(strengths, SPACES["snas"], none=True).normal.nodes for edge in node.edges
    }
    assert operations == {"none"}


def test_where_a_node_reads_every_state_the_largest_of_each_place_is_its_operation():
    space, strengths = SPACES["nas-bench-201"], strengths_of("nas-bench-201")
    edges = [edge.operation for node in derive(strengths, space).normal.nodes for edge in node.edges]
    assert edges == [space.operations[number] for number in strengths[0].argmax(-1)]


def test_equal_strengths_take_the_first_sources_and_operations():
    genotype = derive(np.full(mixture_shape(SPACES["darts"]), 1 / 7), SPACES["darts"])
    assert {str(edge) for node in genotype.normal.nodes for edge in node.edges} == {"0:max_pool_3x3", "1:max_pool_3x3"}


@pytest.mark.parametrize("space", SPACES)
def test_genotypes_come_in_the_order_of_their_strength_each_once(space):
    strengths = strengths_of(space)

    some = list(itertools.islice(ranked(strengths, SPACES[space]), 300))

    assert len(set(some)) == 300
    sums = [strength_of(genotype, strengths, SPACES[space]) for genotype in some]
    assert all(one >= other - 1e-12 for one, other in itertools.pairwise(sums))


def test_all_genotypes_of_a_complete_space_are_ranked():
    space, strengths = SPACES["nas-bench-201"], strengths_of("nas-bench-201")
    all_of_them = list(ranked(strengths, space))
    assert len(set(all_of_them)) == len(all_of_them) == 15_625


def test_the_strongest_random_genotype_is_taken_where_those_near_are_excluded():
    space, strengths = SPACES["darts"], strengths_of("darts")
    near = set(itertools.islice(ranked(strengths, space), 4096))

    found = derive_accepted(strengths, space, lambda some: np.array([genotype not in near for genotype in some]))

    assert found is not None and found not in near
    assert derive_accepted(strengths, space, lambda some: np.zeros(len(some), dtype=bool)) is None


@pytest.mark.parametrize("most", [0, 1, 8])
def test_the_weakest_identities_go_first(most):
    space, strengths = SPACES["darts"], strengths_of("darts")
    identity = space.operations.index("skip_connect")
    strengths[..., identity] += 1.0  # they would win everywhere
    everywhere = derive(strengths, space)

    genotype = derive(limit_skips(strengths, space, most), space)

    skips = [edge.operation for node in genotype.normal.nodes for edge in node.edges].count("skip_connect")
    assert skips == min(most, 8)
    assert genotype.reduction == everywhere.reduction
    if most == 1:
        # that of the strongest of all places is left
        node, source = mixture_places(space)[int(strengths[0, :, identity].argmax())]
        left = [(n, e.source) for n, each in enumerate(genotype.normal.nodes) for e in each.edges
                if e.operation == "skip_connect"]  # fmt: skip
        assert left == [(node, source)]
