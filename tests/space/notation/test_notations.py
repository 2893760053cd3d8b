import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnao.errors import GenotypeError
from bnao.space.notation.integers import to_integers
from bnao.space.notation.nas_bench_201 import to_nas_bench_201
from bnao.space.notation.notations import parse, read_lines, to_text
from bnao.space.spaces import SPACES, space_named
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
CAN_BE = (
    "give '0:sep_conv_3x3+1:skip_connect;...|...', 40 integers, a published cell's name (bnao zoo), "
    "a DARTS Genotype(...), a NAS-Bench-201 string or JSON"
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
        ("", f"'' is not a genotype; {CAN_BE}"),
        ("1 1 0 x", f"'1 1 0 x' is not a genotype; {CAN_BE}"),
        ("hello", "'hello' is not a genotype; no published cell 'hello'; see: bnao zoo"),
        ("NAONet-W2", "'NAONet-W2' is not a genotype; no published cell 'NAONet-W2'; did you mean NAONet-V2?"),
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


# --- NAS-Bench-201

BENCH = SPACES["nas-bench-201"]
# row 0 of the benchmark, and the same read by hand
BENCH_TEXT = (
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    "0:avg_pool_3x3;0:nor_conv_1x1+1:skip_connect;0:nor_conv_1x1+1:skip_connect+2:skip_connect",
    "0 4 0 2 1 1 0 2 1 1 2 1",
)


def test_a_nas_bench_201_string_and_the_text_form_mean_the_same_genotype():
    string, text, integers = BENCH_TEXT

    assert parse(string, BENCH) == parse(text, BENCH) == parse(integers, BENCH)
    assert str(parse(string, BENCH)) == text
    assert to_nas_bench_201(parse(text, BENCH)) == string
    assert to_integers(parse(string, BENCH), BENCH) == integers


@given(st.integers(0, 5**6 - 1))
def test_every_cell_of_the_benchmark_comes_back_from_every_notation(number):
    digits = [number // 5**place % 5 for place in range(6)]
    sources = [0, 0, 1, 0, 1, 2]
    genotype = parse(" ".join(f"{source} {digit}" for source, digit in zip(sources, digits, strict=True)), BENCH)

    for text in (str(genotype), to_nas_bench_201(genotype), to_integers(genotype, BENCH)):
        assert parse(text, BENCH) == genotype


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "|skip_connect~0|+|none~0|+|none~0|none~1|none~2|",
            "node 1 has 1 edge; a node of space",
        ),
        ("|skip_connect~0|+|none~0|none~1|", "the cell has 2 nodes; a cell of space 'nas-bench-201' with 3 nodes"),
        ("|skip_connect~1|", "node 0 reads state 1, but only states 0..0 exist before it"),
        ("skip_connect~0", "node 0 is 'skip_connect~0'; it must be '|operation~state|...|'"),
        ("|skip_connect~0|+||", "node 1 has the edge ''; an edge is 'operation~state'"),
        ("|skip~connect~0|", "node 0 has the edge 'skip~connect~0'"),
        (
            "|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|",
            "node 0 has the operation 'conv'; space 'nas-bench-201' has none, skip_connect",
        ),
        (
            "|none~0|+|none~0|none~0|+|none~0|none~1|none~2|",
            "node 1 reads 0 and 0; in space 'nas-bench-201' it reads each earlier state once",
        ),
        ("0 1 1 1 1 1 0 1 1 1 2 1", "integer 2 (the first state of node 1) is 1; it can be 0"),
        (TEXT, "2 cells; a genotype of space 'nas-bench-201' has 1"),
    ],
)
def test_what_is_no_genotype_of_the_benchmark_is_refused_with_the_place(text, message):
    with pytest.raises(GenotypeError) as raised:
        parse(text, BENCH)

    assert message in str(raised.value)


def test_a_cell_of_the_benchmark_is_no_genotype_of_nao_and_has_its_own_notation():
    with pytest.raises(GenotypeError, match="1 cell; a genotype of space 'nao' has 2"):
        parse(BENCH_TEXT[0], NAO)
    with pytest.raises(GenotypeError, match="a NAS-Bench-201 string describes one cell of one input"):
        to_nas_bench_201(parse(TEXT, NAO))


@given(st.text(alphabet="|+~0123 noe_skpct", max_size=60))
def test_broken_text_is_refused_in_words(text):
    for space in (NAO, BENCH):
        try:
            genotype = parse(text, space)
        except GenotypeError:
            continue
        assert parse(str(genotype), space) == genotype


def test_a_file_of_genotypes_is_read_in_any_notation_and_errors_name_their_line(tmp_path):
    genotypes = SPACES["nao"].random_genotypes(2, stream(0, "lines"))
    path = tmp_path / "some.txt"
    path.write_text(
        f"\ufeff# two\n\n{genotypes[0]}\n{to_text(genotypes[1], SPACES['nao'], 'integers')}\n", encoding="utf-8"
    )

    assert read_lines(path, SPACES["nao"]) == [(f"{path}, line 3", genotypes[0]), (f"{path}, line 4", genotypes[1])]
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(GenotypeError, match="is not text in UTF-8"):
        read_lines(path, SPACES["nao"])
