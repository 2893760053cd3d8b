import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnao.errors import GenotypeError
from bnao.space.genotype import Cell, Edge, Genotype, Node
from bnao.space.spaces import SPACES, START, SearchSpace, space_named
from bnao.streams import stream

seeds = st.integers(0, 10_000)
spaces = st.builds(
    SearchSpace,
    st.just("made"),
    st.integers(2, 6).map(lambda n: tuple(f"operation_{number}" for number in range(n))),
    nodes=st.integers(2, 7),
)


def one(space, seed=0):
    return space.random_genotypes(1, stream(seed, "test"))[0]


@given(spaces, seeds)
def test_a_genotype_comes_back_from_its_integers(space, seed):
    genotypes = space.random_genotypes(3, stream(seed, "test"))

    integers = space.encode(genotypes)

    assert integers.shape == (3, 2, space.nodes, 2, 2)
    assert space.decode(integers) == genotypes


@given(spaces, seeds)
def test_a_genotype_comes_back_from_its_tokens(space, seed):
    genotypes = space.random_genotypes(3, stream(seed, "test"))

    tokens = space.tokens(genotypes)

    assert tokens.shape == (3, space.length)
    assert space.from_tokens(tokens) == genotypes


@given(spaces, seeds)
def test_every_token_of_a_genotype_is_one_the_mask_allows_there(space, seed):
    tokens = space.tokens([one(space, seed)])[0]

    assert space.token_mask()[np.arange(space.length), tokens].all()


@given(spaces, seeds)
def test_any_sequence_the_mask_allows_is_a_genotype(space, seed):
    mask, rng = space.token_mask(), stream(seed, "test")
    tokens = [rng.choice(np.flatnonzero(row)) for row in mask]

    genotype = space.from_tokens(np.array(tokens))[0]

    assert space.check(genotype) is genotype


@given(spaces, seeds)
def test_swapped_tokens_mean_the_same_genotypes(space, seed):
    genotypes = space.random_genotypes(4, stream(seed, "test"))

    swapped = space.swapped(space.tokens(genotypes), stream(seed, "swap"))

    assert space.from_tokens(swapped) == genotypes


def test_swapping_swaps_about_half_of_the_nodes():
    space = SPACES["nao"]
    tokens = space.tokens(
        [
            Genotype.parse(
                "0:skip_connect+1:skip_connect"
                + ";0:skip_connect+1:skip_connect" * 4
                + "|"
                + "0:skip_connect+1:skip_connect"
                + ";0:skip_connect+1:skip_connect" * 4,
                output="loose ends",
            )
        ]
    )
    rows = np.repeat(tokens, 1000, axis=0)

    changed = (space.swapped(rows, stream(0, "swap")) != rows).reshape(1000, 10, 4).any(-1)

    assert abs(changed.sum() - 5000) < 250  # of 10,000 nodes; 250 is five standard deviations


def test_the_space_of_the_paper_has_40_tokens_of_12_kinds():
    space = SPACES["nao"]

    assert (space.length, space.vocabulary) == (40, 12)
    assert START == 0


def test_states_are_tokens_1_to_6_and_operations_7_to_11():
    cell = (
        "0:sep_conv_3x3+1:sep_conv_5x5;2:avg_pool_3x3+2:max_pool_3x3;3:skip_connect+3:skip_connect"
        + ";4:skip_connect+4:skip_connect;5:skip_connect+5:skip_connect"
    )

    tokens = SPACES["nao"].tokens([Genotype.parse(f"{cell}|{cell}", output="loose ends")])[0]

    half = [1, 7, 2, 8, 3, 9, 3, 10, 4, 11, 4, 11, 5, 11, 5, 11, 6, 11, 6, 11]
    assert tokens.tolist() == half + half


def test_the_mask_of_one_node_allows_two_states_and_then_the_operations():
    space = SearchSpace("made", ("a", "b", "c"), nodes=1)

    mask = space.token_mask()

    source, operation = [0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]
    assert mask.astype(int).tolist() == [source, operation] * 4


def test_vocabulary_and_length_follow_from_nodes_and_operations():
    space = SearchSpace("made", ("a", "b", "c"), nodes=4)

    assert space.length == 2 * 4 * 4
    assert space.vocabulary == 1 + 5 + 3


def test_random_genotypes_are_distinct_and_a_function_of_their_stream():
    space = space_named("nao", 2)

    pool = space.random_genotypes(2000, stream(3, "pool"))

    assert len(set(pool)) == 2000
    assert pool == space.random_genotypes(2000, stream(3, "pool"))
    assert pool != space.random_genotypes(2000, stream(4, "pool"))


def test_sources_and_operations_are_drawn_evenly():
    integers = SPACES["nao"].encode(SPACES["nao"].random_genotypes(5000, stream(0, "pool")))

    for node in range(5):
        sources = np.bincount(integers[:, :, node, :, 0].ravel(), minlength=node + 2)
        share = 1 / (node + 2)
        assert np.all(np.abs(sources - 20_000 * share) < 5 * np.sqrt(20_000 * share * (1 - share)))
    operations = np.bincount(integers[..., 1].ravel())
    assert np.all(np.abs(operations - 20_000) < 5 * np.sqrt(100_000 * 0.2 * 0.8))


def test_a_space_gives_all_it_holds_and_no_more():
    # one node of two edges, each of 2 sources and 1 operation: 3 unordered pairs a cell, 9 genotypes
    space = SearchSpace("tiny", ("a",), nodes=1)

    assert len(set(space.random_genotypes(9, stream(0, "pool")))) == 9
    with pytest.raises(GenotypeError) as error:
        space.random_genotypes(10, stream(0, "pool"))
    assert str(error.value) == (
        "space 'tiny' with 1 nodes gave 9 distinct genotypes where 10 are wanted; ask for fewer or for more nodes"
    )


def test_excluded_genotypes_do_not_come():
    space = SearchSpace("tiny", ("a",), nodes=1)
    first = space.random_genotypes(5, stream(0, "pool"))

    others = space.random_genotypes(4, stream(1, "pool"), exclude=first)

    assert set(first).isdisjoint(others)


def test_no_genotypes_can_be_asked_for():
    assert SPACES["nao"].random_genotypes(0, stream(0, "pool")) == []
    assert SPACES["nao"].encode([]).shape == (0, 2, 5, 2, 2)


def genotype_of(*edges, inputs=2):
    cell = Cell([Node([Edge(*edge) for edge in node]) for node in edges], inputs)
    return Genotype(cell, cell, output="loose ends")


A, B = (0, "a"), (1, "b")


@pytest.mark.parametrize(
    ("genotype", "message"),
    [
        (genotype_of([A, B]), "the normal cell has 1 node; a cell of space 'made' with 2 nodes needs 2"),
        (
            genotype_of([A, B], [A, (1, "d")]),
            "normal cell: node 1 has the operation 'd'; space 'made' has a, b, c",
        ),
        (genotype_of([A, B], [A]), "normal cell: node 1 has 1 edge; a node of space 'made' has 2"),
        (genotype_of([A], [A, A, B]), "normal cell: node 0 has 1 edge; a node of space 'made' has 2"),
        (
            genotype_of([A, B], [A, B], inputs=3),
            "the normal cell has 3 inputs; a cell of space 'made' has 2",
        ),
    ],
)
def test_a_genotype_of_another_space_is_refused_with_its_place(genotype, message):
    space = SearchSpace("made", ("a", "b", "c"), nodes=2)
    own = one(space)

    with pytest.raises(GenotypeError) as error:
        space.check(genotype)
    assert str(error.value) == message
    with pytest.raises(GenotypeError) as error:
        space.encode([own, genotype])
    assert str(error.value) == f"genotype 1: {message}"


def test_genotypes_of_one_and_of_three_nodes_do_not_pass_for_two_of_two():
    space = SearchSpace("made", ("a", "b", "c"), nodes=2)

    with pytest.raises(GenotypeError, match="genotype 0: the normal cell has 1 node"):
        space.encode([genotype_of([A, B]), genotype_of([A, B], [A, B], [A, B])])


def test_integers_of_an_operation_or_a_state_that_does_not_exist_are_refused():
    space = SearchSpace("made", ("a", "b", "c"), nodes=1)

    with pytest.raises(GenotypeError, match=r"operation 3 does not exist; space 'made' has 0\.\.2"):
        space.decode(np.array([0, 0, 1, 3, 0, 0, 0, 0]))
    with pytest.raises(GenotypeError, match=r"node 0 reads state 2, but only states 0\.\.1 exist before it"):
        space.decode(np.array([0, 0, 2, 1, 0, 0, 0, 0]))


def test_a_space_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(
        GenotypeError, match="no space 'nasnett'; there is darts, nao, nao-large, nas-bench-201, nasnet, snas"
    ):
        space_named("nasnett", 5)


def test_a_space_without_nodes_cannot_be():
    with pytest.raises(ValueError, match="nodes"):
        space_named("nao", 0)


# --- the space of one cell whose sources are fixed

BENCH = SPACES["nas-bench-201"]


def test_the_benchmarks_space_has_fixed_sources_and_15_625_cells():
    pool = BENCH.random_genotypes(2000, stream(0, "bench"))

    assert len(set(pool)) == 2000
    assert len(BENCH.operations) ** len(BENCH.places) == 15_625
    for genotype in pool:
        BENCH.check(genotype)
        assert [[edge.source for edge in node.edges] for node in genotype.normal.nodes] == [[0], [0, 1], [0, 1, 2]]
    operations = BENCH.encode(pool)[..., 1]
    counts = np.bincount(operations.ravel(), minlength=5)
    assert abs(counts - 2400).max() < 5 * (12_000 * 0.2 * 0.8) ** 0.5  # 12,000 edges, five operations


def test_tokens_of_the_benchmarks_space_leave_the_controller_nothing_but_operations():
    mask = BENCH.token_mask()

    assert mask.shape == (12, 9)
    assert (mask[::2].sum(1) == 1).all()  # one source
    assert (mask[1::2].sum(1) == 5).all()
    pool = BENCH.random_genotypes(50, stream(0, "bench"))
    tokens = BENCH.tokens(pool)
    assert BENCH.from_tokens(tokens) == pool
    assert all(mask[np.arange(12), row].all() for row in tokens)
    assert (BENCH.swapped(tokens, stream(0, "swap")) == tokens).all()


def test_a_complete_space_of_more_nodes_has_an_edge_from_every_earlier_state():
    space = space_named("nas-bench-201", 5)

    assert (len(space.places), space.edges, space.length) == (15, 5, 30)
    pool = space.random_genotypes(3, stream(0, "bench"))
    assert space.decode(space.encode(pool)) == pool
