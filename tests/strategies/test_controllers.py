import numpy as np
import pytest

from bnao.config.settings import ControllerConfig, NetworkConfig
from bnao.network.size import count_parameters
from bnao.space.edits import neighbours
from bnao.space.spaces import SPACES, SearchSpace, space_named
from bnao.strategies.ageing_evolution import AgeingEvolutionController
from bnao.strategies.evolution import EvolutionController, mutate
from bnao.strategies.local_search import LocalSearchController
from bnao.strategies.random_search import RandomController
from bnao.strategies.registry import CONTROLLERS
from bnao.strategies.ridge import RidgeController
from bnao.strategies.trees import TreesController
from bnao.streams import stream

SPACE = SPACES["nao"]
CONFIG = ControllerConfig(candidates=200)
NETWORK = NetworkConfig(channels=20, cells=3)


def anything(genotype):
    return True


def share_of_convolutions(genotypes):
    """A score that single edges decide: the share of edges that are separable convolutions."""
    return (SPACE.encode(genotypes)[..., 1] < 2).mean((1, 2, 3))


@pytest.fixture(scope="module")
def pool():
    return SPACE.random_genotypes(60, stream(0, "pool"))


@pytest.fixture(params=sorted(CONTROLLERS))
def controller(request, pool):
    if request.param == "trees":
        pytest.importorskip("sklearn")
    controller = CONTROLLERS[request.param](SPACE, CONFIG, 0)
    list(controller.fit(pool, share_of_convolutions(pool), round_index=0))
    return controller


def test_the_controllers_without_a_framework_are_these():
    assert {
        "random": RandomController,
        "evolution": EvolutionController,
        "ageing-evolution": AgeingEvolutionController,
        "local-search": LocalSearchController,
        "ridge": RidgeController,
        "trees": TreesController,
    } == CONTROLLERS


def test_there_is_nothing_to_wait_for_while_they_learn(controller, pool):
    assert list(controller.fit(pool, share_of_convolutions(pool), round_index=1)) == []


def test_proposals_are_distinct_of_the_space_and_as_many_as_asked_for(controller, pool):
    proposed = controller.propose(pool[:5], 40, anything, round_index=1)

    assert len(proposed) == len(set(proposed)) == 40
    for genotype in proposed:
        SPACE.check(genotype)


def test_only_what_is_accepted_is_proposed(controller, pool):
    known = set(pool)

    def new_and_small(genotype):
        return genotype not in known and count_parameters(genotype, NETWORK) < 500_000

    proposed = controller.propose(pool[:5], 10, new_and_small, round_index=1)

    assert len(proposed) == 10
    assert all(map(new_and_small, proposed))


def test_where_nothing_is_accepted_the_search_for_proposals_ends_empty(controller, pool):
    assert controller.propose(pool[:5], 3, lambda genotype: False, round_index=1) == []


def test_none_are_proposed_where_none_are_wanted(controller, pool):
    assert controller.propose(pool[:5], 0, anything, round_index=1) == []


def test_proposals_are_a_function_of_seed_and_round(pool):
    def proposed(kind, seed, round_index):
        controller = kind(SPACE, CONFIG, seed)
        list(controller.fit(pool, share_of_convolutions(pool), round_index=0))
        return controller.propose(pool[:5], 8, anything, round_index=round_index)

    for name, kind in CONTROLLERS.items():
        if name == "trees":
            continue  # tests/strategies/test_surrogate.py
        first = proposed(kind, 0, 1)

        assert proposed(kind, 0, 1) == first
        if name == "ridge":
            continue  # the best of the neighbours are the best in any round
        assert proposed(kind, 0, 2) != first
        assert proposed(kind, 1, 1) != first


def test_random_proposals_from_a_space_of_nine_are_at_most_nine():
    # one node, one operation: the unordered pairs of sources 0 and 1 are three; two cells, nine genotypes
    small = SearchSpace("small", ("skip_connect",), nodes=1)

    proposed = RandomController(small, CONFIG, 0).propose([], 20, anything, round_index=0)

    assert len(proposed) == 9


def test_evolution_that_has_seen_nothing_proposes_nothing(pool):
    assert EvolutionController(SPACE, CONFIG, 0).propose(pool[:5], 3, anything, round_index=0) == []


def test_a_tournament_of_many_lets_only_the_best_have_children(pool):
    controller = EvolutionController(SPACE, ControllerConfig(tournament=2000), 0)
    scores = np.arange(len(pool)) / len(pool)
    list(controller.fit(pool, scores, round_index=0))

    proposed = controller.propose([], 20, anything, round_index=1)

    assert all(edges_in_common(child, pool[-1]) == 19 for child in proposed)


def test_a_tournament_of_one_lets_anyone_have_children(pool):
    controller = EvolutionController(SPACE, ControllerConfig(tournament=1), 0)
    list(controller.fit(pool, np.arange(len(pool)) / len(pool), round_index=0))

    proposed = controller.propose([], 200, anything, round_index=1)

    parents = {next(i for i, known in enumerate(pool) if edges_in_common(child, known) == 19) for child in proposed}
    assert len(parents) > 50  # of 60; 200 draws leave 60 x (1 - 1/60)^200 = 2 out on average


def test_children_of_tournaments_score_better_than_the_pool(pool):
    controller = EvolutionController(SPACE, CONFIG, 0)
    scores = share_of_convolutions(pool)
    list(controller.fit(pool, scores, round_index=0))

    proposed = controller.propose([], 50, anything, round_index=1)

    assert share_of_convolutions(proposed).mean() > scores.mean() + scores.std() / 2


def edges_in_common(one, other):
    """Edges of the same place in both, of 20; a node's two edges are unordered."""
    common = 0
    for cell, other_cell in zip(one.cells, other.cells, strict=True):
        for node, other_node in zip(cell.nodes, other_cell.nodes, strict=True):
            left = list(other_node.edges)
            for edge in node.edges:
                if edge in left:
                    left.remove(edge)
                    common += 1
    return common


def test_a_mutation_changes_one_edges_source_or_its_operation_and_never_both(pool):
    rng = stream(0, "mutations")

    for parent in pool:
        child = mutate(parent, SPACE, rng)

        assert edges_in_common(child, parent) == 19
        (before,), (after,) = changed_edges(parent, child)
        assert (before.source == after.source) != (before.operation == after.operation)


def changed_edges(one, other):
    """The edges that only the one has, and those that only the other has."""
    gone, come = [], []
    for cell, other_cell in zip(one.cells, other.cells, strict=True):
        for node, other_node in zip(cell.nodes, other_cell.nodes, strict=True):
            before, after = list(node.edges), list(other_node.edges)
            for edge in node.edges:
                if edge in after:
                    after.remove(edge)
                    before.remove(edge)
            gone += before
            come += after
    return gone, come


def test_mutations_reach_sources_and_operations_equally_often(pool):
    rng = stream(0, "mutations")

    pairs = [changed_edges(pool[0], mutate(pool[0], SPACE, rng)) for _ in range(1000)]

    sources = sum(before.source != after.source for (before,), (after,) in pairs)
    assert abs(sources - 500) < 80  # five standard deviations of 1000 fair coins


def test_a_space_of_one_operation_is_mutated_in_its_sources():
    space = SearchSpace("small", ("skip_connect",), nodes=2)
    (parent,) = space.random_genotypes(1, stream(0, "parent"))

    assert all(mutate(parent, space, stream(0, "mutation", i)) != parent for i in range(50))


def test_other_node_counts_are_mutated_within_their_space():
    space = space_named("nao", 2)
    (genotype,) = space.random_genotypes(1, stream(0, "parent"))

    for i in range(100):
        genotype = space.check(mutate(genotype, space, stream(0, "mutation", i)))

    assert len(genotype.normal.nodes) == 2


def test_parents_of_ageing_evolution_are_the_youngest_however_bad(pool):
    controller = AgeingEvolutionController(SPACE, ControllerConfig(population=10, tournament=3), 0)
    list(controller.fit(pool, np.arange(len(pool))[::-1].astype(float), round_index=0))  # the oldest is the best

    proposed = controller.propose([], 60, anything, round_index=1)

    parents = {next(i for i, known in enumerate(pool) if edges_in_common(child, known) == 19) for child in proposed}
    assert min(parents) >= len(pool) - 10


def test_local_search_proposes_all_neighbours_of_the_best_before_those_of_the_next():
    space = SPACES["nas-bench-201"]
    first, second = space.random_genotypes(2, stream(3, "far apart"))
    controller = LocalSearchController(space, CONFIG, 0)
    list(controller.fit([second, first], np.array([0.1, 0.2]), round_index=0))

    proposed = controller.propose([], 30, lambda genotype: genotype not in (first, second), round_index=1)

    around = set(neighbours(first, space)) - {second}
    assert set(proposed[: len(around)]) == around
    assert set(proposed[len(around) :]) <= set(neighbours(second, space))
