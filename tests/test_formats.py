import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnao.errors import GenotypeError
from bnao.formats import parse, to_integers
from bnao.space import SPACES, space_named
from bnao.streams import stream

NAO = SPACES["nao"]
# the cell the authors published for Balanced NAO, in their notation and read by hand
INTEGERS = "1 1 0 1 2 4 0 0 0 0 2 1 0 0 0 2 0 3 0 0 0 2 0 2 2 2 1 0 0 0 0 1 0 0 0 3 0 0 0 1"
TEXT = (
    "0:sep_conv_5x5+1:sep_conv_5x5;0:sep_conv_3x3+2:skip_connect;0:sep_conv_3x3+2:sep_conv_5x5;"
    "0:avg_pool_3x3+0:sep_conv_3x3;0:max_pool_3x3+0:sep_conv_3x3|"
    "0:avg_pool_3x3+0:avg_pool_3x3;1:sep_conv_3x3+2:avg_pool_3x3;0:sep_conv_3x3+0:sep_conv_5x5;"
    "0:max_pool_3x3+0:sep_conv_3x3;0:sep_conv_3x3+0:sep_conv_5x5"
)


def random_genotype(nodes, seed):
    return space_named("nao", nodes).random_genotypes(1, stream(seed, "test"))[0]


def test_the_authors_integers_and_the_text_form_mean_the_same_genotype():
    assert parse(INTEGERS, NAO) == parse(TEXT, NAO)
    assert str(parse(INTEGERS, NAO)) == TEXT


@given(st.integers(1, 7), st.integers(0, 1000))
def test_a_genotype_comes_back_from_both_notations(nodes, seed):
    space, genotype = space_named("nao", nodes), random_genotype(nodes, seed)

    assert parse(to_integers(genotype, space), space) == genotype
    assert parse(str(genotype), space) == genotype


@pytest.mark.parametrize(
    "separated", [INTEGERS.replace(" ", ", "), f"[{INTEGERS.replace(' ', ',')}]\n", f" {INTEGERS}\t"]
)
def test_integers_may_be_separated_by_blanks_or_commas_and_stand_in_brackets(separated):
    assert parse(separated, NAO) == parse(TEXT, NAO)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 1 0 1", "4 integers; a genotype of space 'nao' with 5 nodes has 40"),
        (
            f"2{INTEGERS[1:]}",
            "integer 0 (the first state of node 0 in the normal cell) is 2; it can be 0..1",
        ),
        (
            f"{INTEGERS[:-1]}5",
            "integer 39 (the second operation of node 4 in the reduction cell) is 5; it can be 0..4",
        ),
        (
            f"-1{INTEGERS[1:]}",
            "integer 0 (the first state of node 0 in the normal cell) is -1; it can be 0..1",
        ),
        (
            f"{'9' * 5000}{INTEGERS[1:]}",
            "integer 0 (the first state of node 0 in the normal cell) is 9999999999; it can be 0..1",
        ),
        ("", "'' is no genotype; give '0:sep_conv_3x3+1:skip_connect;...|...' or 40 integers"),
        ("1 1 0 x", "'1 1 0 x' is no genotype; give '0:sep_conv_3x3+1:skip_connect;...|...' or 40 integers"),
        (
            TEXT.replace("0:sep_conv_5x5+1", "0:conv_7x7+1"),
            "normal cell: node 0 has the operation 'conv_7x7'; "
            "space 'nao' has sep_conv_3x3, sep_conv_5x5, avg_pool_3x3, max_pool_3x3, skip_connect",
        ),
        (
            "0:skip_connect+1:skip_connect|0:skip_connect+1:skip_connect",
            "the normal cell has 1 node; a cell of space 'nao' with 5 nodes needs 5",
        ),
    ],
)
def test_a_text_that_means_no_genotype_of_the_space_is_refused_with_the_place(text, message):
    with pytest.raises(GenotypeError) as error:
        parse(text, NAO)

    assert str(error.value) == message


def test_a_genotype_of_another_space_has_no_integers_in_this_one():
    with pytest.raises(GenotypeError, match="genotype 0: the normal cell has 4 nodes"):
        to_integers(random_genotype(4, 0), NAO)
