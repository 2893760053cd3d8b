import pytest
from attrs.exceptions import FrozenInstanceError
from hypothesis import given
from hypothesis import strategies as st

from bnao.errors import BnaoError, GenotypeError
from bnao.space.genotype import OUTPUT_RULES, Cell, Edge, Genotype, Node, edge_slots
from bnao.space.spaces import space_named
from bnao.streams import stream

OPERATIONS = ["sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3", "skip_connect"]
CELL = "0:sep_conv_3x3+1:skip_connect;1:avg_pool_3x3+2:skip_connect"


@st.composite
def cells(draw, nodes):
    def edge(node):
        return st.builds(Edge, st.integers(0, node + 1), st.sampled_from(OPERATIONS))

    return Cell([Node(draw(st.lists(edge(node), min_size=1, max_size=3))) for node in range(nodes)])


genotypes = st.integers(1, 6).flatmap(
    lambda nodes: st.builds(Genotype, cells(nodes), cells(nodes), output=st.sampled_from(OUTPUT_RULES))
)


@given(genotypes)
def test_the_text_form_read_back_is_the_same_genotype(genotype):
    read = Genotype.parse(str(genotype), output="loose ends")

    assert read == genotype
    assert hash(read) == hash(genotype)


@given(genotypes, st.randoms(use_true_random=False))
def test_a_genotype_is_the_same_whatever_the_order_of_a_nodes_edges(genotype, random):
    def shuffled(cell):
        return Cell([Node(random.sample(node.edges, len(node.edges))) for node in cell.nodes])

    other = Genotype(shuffled(genotype.normal), shuffled(genotype.reduction), output="loose ends")

    assert other == genotype
    assert hash(other) == hash(genotype)
    assert str(other) == str(genotype)


@given(genotypes)
def test_the_last_node_is_always_a_loose_end_and_no_loose_end_is_read(genotype):
    for cell in genotype.cells:
        read = {edge.source for node in cell.nodes for edge in node.edges}
        assert cell.loose_ends[-1] == len(cell.nodes) + 1
        assert read.isdisjoint(cell.loose_ends)
        assert read.union(cell.loose_ends) == set(range(len(cell.nodes) + 2))


def test_cells_differ_when_an_edges_operation_moves_to_the_other_source():
    one = Node([Edge(0, "skip_connect"), Edge(1, "avg_pool_3x3")])
    other = Node([Edge(0, "avg_pool_3x3"), Edge(1, "skip_connect")])

    assert one != other


def test_the_normal_cell_is_not_the_reduction_cell():
    a, b = Cell([Node([Edge(0, "skip_connect")])]), Cell([Node([Edge(1, "skip_connect")])])

    assert Genotype(a, b, output="loose ends") != Genotype(b, a, output="loose ends")


def test_blanks_around_the_parts_of_the_text_form_mean_nothing():
    spaced = " 0:sep_conv_3x3 + 1 : skip_connect ; 1:avg_pool_3x3+2:skip_connect |" + CELL + "\n"

    assert Genotype.parse(spaced, output="loose ends") == Genotype.parse(f"{CELL}|{CELL}", output="loose ends")


def test_a_genotype_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Genotype.parse(f"{CELL}|{CELL}", output="loose ends").normal = None


def test_a_genotype_error_is_a_value_error_and_one_of_bnaos():
    assert issubclass(GenotypeError, ValueError)
    assert issubclass(GenotypeError, BnaoError)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f"0:skip_connect+3:skip_connect|{CELL}",
            "normal cell: node 0 reads state 3, but only states 0..1 exist before it",
        ),
        (
            f"{CELL}|0:skip_connect;1:skip_connect+3:skip_connect",
            "reduction cell: node 1 reads state 3, but only states 0..2 exist before it",
        ),
        (
            CELL,
            f"1 cell in '{CELL}'; a genotype is 'normal|reduction', two cells with '|' between them (a genotype of "
            f"one cell reads one input, state 0)",
        ),
        (
            "a|b|c",
            "3 cells in 'a|b|c'; a genotype is 'normal|reduction', two cells with '|' between them, or one cell",
        ),
        (
            f"{CELL}|0:skip_connect",
            "the normal cell has 2 nodes and the reduction cell 1; both need the same number",
        ),
        (
            "0:skip_connect;|0:skip_connect;",
            "normal cell: node 1 has the edge ''; an edge is 'state:operation', such as '0:sep_conv_3x3'",
        ),
        (
            "-1:identity|0:identity",
            "normal cell: node 0 has the edge '-1:identity'; an edge is 'state:operation', such as '0:sep_conv_3x3'",
        ),
    ],
)
def test_a_text_that_is_no_genotype_is_refused_with_the_place(text, message):
    with pytest.raises(GenotypeError) as error:
        Genotype.parse(text, output="loose ends")

    assert str(error.value) == message


def test_a_state_of_thousands_of_digits_is_refused_and_not_converted():
    with pytest.raises(GenotypeError, match=r"node 0 reads state 999999999, but only states 0\.\.1 exist before it"):
        Genotype.parse("9" * 5000 + ":skip_connect|0:skip_connect", output="loose ends")


def test_a_cell_without_nodes_and_a_node_without_edges_are_refused():
    with pytest.raises(GenotypeError, match="a cell has no node; it needs at least one"):
        Cell([])
    with pytest.raises(GenotypeError, match="node 0 has no edge; it needs at least one"):
        Cell([Node([])])


def test_a_negative_state_is_refused():
    with pytest.raises(GenotypeError, match=r"node 0 reads state -1, but only states 0\.\.1 exist before it"):
        Cell([Node([Edge(-1, "skip_connect")])])


# --- which weights of a supernet an edge trains


def test_by_hash_every_operation_trains_either_set_of_weights_alike_often():
    nodes = [g.normal.nodes[4] for g in space_named("nao").random_genotypes(4000, stream(0, "slots"))]
    used = {rule: [0, 0] for rule in ("hashed", "sorted")}
    for rule, counts in used.items():
        for node in nodes:
            for slot, edge in zip(edge_slots(node, rule), node.edges, strict=True):
                counts[slot] += edge.source == 5

    shares = {rule: counts[0] / sum(counts) for rule, counts in used.items()}
    assert 0.45 < shares["hashed"] < 0.55
    assert shares["sorted"] < 0.15  # the last state is nearly always the larger source


def test_each_edge_of_a_node_trains_weights_of_its_own():
    for genotype in space_named("nao").random_genotypes(50, stream(1, "slots")):
        for node in genotype.normal.nodes:
            assert sorted(edge_slots(node)) == [0, 1]


def test_a_nodes_weights_are_the_same_on_every_machine():
    node = Node([Edge(0, "sep_conv_3x3"), Edge(1, "skip_connect")])

    assert edge_slots(node) == (1, 0)
    assert edge_slots(node, "sorted") == (0, 1)
    assert edge_slots(Node([Edge(0, "none")])) == (0,)
