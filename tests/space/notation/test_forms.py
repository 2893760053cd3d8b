"""Every notation in and out: what each means, that it comes back, and what it refuses."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnao.errors import GenotypeError
from bnao.space.genotype import Genotype
from bnao.space.notation.notations import NOTATIONS, parse, read, to_text
from bnao.space.spaces import SPACES, space_named
from bnao.space.zoo import zoo
from bnao.streams import stream

TWO_CELLS = ("nao", "nao-large", "darts", "snas", "nasnet")

DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
    "normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), "
    "('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
    "reduce_concat=[2, 3, 4, 5])"
)
# the same, read by hand
DARTS_V2_TEXT = (
    "0:sep_conv_3x3+1:sep_conv_3x3;0:sep_conv_3x3+1:sep_conv_3x3;0:skip_connect+1:sep_conv_3x3;"
    "0:skip_connect+2:dil_conv_3x3|0:max_pool_3x3+1:max_pool_3x3;1:max_pool_3x3+2:skip_connect;"
    "0:max_pool_3x3+2:skip_connect;1:max_pool_3x3+2:skip_connect"
)
# as NAO's first version publishes NAONet-A, and its first nodes read by hand
NAONET_A = "0 7 1 15 2 8 1 7 0 6 1 7 0 8 4 7 1 5 0 7 0 7 1 13 0 6 0 14 0 9 1 10 0 14 2 6 1 11 0 7"
ENAS = "[0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1]\n[1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1]"


def random_genotype(space, seed):
    return space.random_genotypes(1, stream(seed, "notations"))[0]


def refused(text, space=None):
    with pytest.raises(GenotypeError) as raised:
        parse(text, space)
    return str(raised.value)


# --- what each means


def test_a_darts_genotype_is_read_with_its_space():
    found = read(DARTS_V2)

    assert str(found.genotype) == DARTS_V2_TEXT
    assert (found.space.name, found.told) == ("darts", True)
    assert found.genotype == parse("DARTS_V2")


@pytest.mark.parametrize(
    "text",
    [
        f"DARTS_V2 = {DARTS_V2}",
        DARTS_V2.replace("[2, 3, 4, 5]", "range(2, 6)"),
        DARTS_V2.replace("'", '"').replace(", ", ",\n  "),
        DARTS_V2.replace("])", "],)"),
        f"darts: {DARTS_V2}",
    ],
)
def test_a_darts_genotype_may_stand_as_it_does_in_programs(text):
    assert read(text) == read(DARTS_V2)


def test_the_space_of_a_darts_genotype_is_told_by_its_operations_and_its_concat():
    none = DARTS_V2.replace("('dil_conv_3x3', 2)", "('none', 2)")
    wide = DARTS_V2.replace("('dil_conv_3x3', 2)", "('sep_conv_7x7', 2)")
    loose = "Genotype(normal=[('skip_connect', 1), ('skip_connect', 1)], normal_concat=[0, 2], "
    loose += "reduce=[('skip_connect', 0), ('skip_connect', 1)], reduce_concat=[2])"

    assert read(none).space.name == "snas"
    assert refused(wide).startswith("Genotype(...): the normal cell concatenates states 2, 3, 4, 5; in space 'nasnet'")
    assert read(loose).space.name == "nao"
    assert read(loose).space.nodes == 1


def test_the_numbers_of_naos_first_version_are_read_by_its_name_alone():
    found = read(f"nao-v1: {NAONET_A}")

    assert found.space.name == "nao-large"
    assert str(found.genotype).startswith("0:conv_3x3+1:avg_pool_5x5;1:conv_3x3+2:conv_1x3_3x1;0:conv_1x1+1:conv_3x3;")
    assert found.genotype == parse("NAONet-A")
    assert "integer 1 (the first operation of node 0 in the normal cell) is 7; it can be 0..4" in refused(NAONET_A)


def test_the_two_versions_give_the_large_spaces_operations_other_numbers():
    genotype, space = parse("NAONet-A"), SPACES["nao-large"]

    assert sorted(to_text(genotype, space, "nao-v1").split()[1:]) == sorted(NAONET_A.split())
    assert to_text(genotype, space, "nao").split()[:4] == ["0", "2", "1", "10"]


def test_enas_arcs_are_the_integers_of_each_cell_in_brackets():
    assert parse(ENAS) == parse("ENAS") == parse(ENAS.replace("[", " ").replace("]", " "))
    assert to_text(parse("ENAS"), SPACES["nao"], "enas").startswith("[0 2 0 0 0 1 0 4 ")


def test_the_json_says_all_of_itself():
    content = json.loads(to_text(parse("DARTS_V2"), SPACES["darts"], "json"))

    assert {name: content[name] for name in ("format", "space", "output")} == {
        "format": 1, "space": "darts", "output": "nodes",
    }  # fmt: skip
    assert content["normal"][3] == [[0, "skip_connect"], [2, "dil_conv_3x3"]]
    assert read(json.dumps(content, indent=2)).space.name == "darts"


@pytest.mark.parametrize("entry", [entry for entry in zoo() if entry.genotype], ids=lambda entry: entry.name)
def test_a_published_cell_is_read_by_its_name_however_it_is_spelled(entry):
    for name in (entry.name, entry.name.lower(), entry.name.upper().replace("-", "_"), f" {entry.name} "):
        assert parse(name) == entry.genotype


@pytest.mark.parametrize(
    ("name", "meant"), [("PDARTS", "P-DARTS"), ("PC_DARTS_cifar", "PC-DARTS-CIFAR"), ("SNAS (mild)", "SNAS-mild")]
)
def test_a_published_cell_is_read_by_the_name_that_its_authors_program_gives_it(name, meant):
    assert parse(name) == parse(meant)


def test_a_published_cell_that_cannot_be_expressed_says_why():
    assert "node 0 of the normal cell sums five edges" in refused("BayesNAS-0.01")
    assert "concatenates the output of the cell before the last" in refused("NASNet-A-slim")


def test_a_genotype_knows_how_its_output_forms_whatever_it_was_read_from():
    text = to_text(parse("DARTS_V2"), SPACES["darts"], "text")

    for each in ("DARTS_V2", DARTS_V2, to_text(parse("DARTS_V2"), SPACES["darts"], "json")):
        assert parse(each).output == "nodes"
    assert parse(text, SPACES["darts"]).output == "nodes"
    assert parse("NAONet-V2").output == "loose ends"


# --- there and back


@given(st.sampled_from(TWO_CELLS), st.integers(1, 7), st.integers(0, 1000))
def test_a_genotype_of_two_cells_comes_back_from_every_notation_that_can_express_it(name, nodes, seed):
    space = space_named(name, nodes)
    genotype = random_genotype(space, seed)
    can = {"text", "json", "darts", "integers"} | ({"nao", "nao-v1"} if name.startswith("nao") else set())
    can |= {"enas"} if name == "nao" else set()

    for notation in can:
        text = to_text(genotype, space, notation)
        assert parse(text, space) == genotype
        assert parse(text, space).output == space.rules.output
        if notation == "json":
            assert read(text).space == space


@given(st.integers(0, 1000))
def test_a_genotype_of_the_benchmark_comes_back_from_every_notation_that_can_express_it(seed):
    space = SPACES["nas-bench-201"]
    genotype = random_genotype(space, seed)

    for notation in ("text", "json", "nas-bench-201", "integers"):
        assert parse(to_text(genotype, space, notation), space) == genotype
    assert read(to_text(genotype, space, "json")).space == space
    assert read(to_text(genotype, space, "nas-bench-201")).space == space


@given(st.integers(1, 7), st.integers(0, 1000))
def test_a_darts_cell_tells_its_space_in_darts_notation(nodes, seed):
    space = space_named("darts", nodes)
    genotype = random_genotype(space, seed)

    found = read(to_text(genotype, space, "darts"))

    assert (found.genotype, found.space.nodes) == (genotype, nodes)
    assert found.space.name == "darts"


# --- what a notation cannot express


@pytest.mark.parametrize(
    ("name", "notation", "told"),
    [
        (
            "DARTS_V2",
            "nao",
            "node 3 of the normal cell has the operation 'dil_conv_3x3', for which the authors' notation",
        ),
        (
            "DARTS_V2",
            "enas",
            "node 3 of the normal cell has the operation 'dil_conv_3x3', for which ENAS has no number",
        ),
        ("NAONet-A", "enas", "node 0 of the normal cell has the operation 'conv_3x3', for which ENAS has no number"),
        ("DARTS_V1", "nao-v1", "space 'darts' has no numbers in NAO's first version; nao and nao-large have"),
        (
            "DARTS_V1",
            "nas-bench-201",
            "a NAS-Bench-201 string describes one cell of one input; this genotype has 2 cells",
        ),
    ],
)
def test_a_notation_that_cannot_express_a_genotype_says_which_edge_or_rule(name, notation, told):
    found = read(name)

    with pytest.raises(GenotypeError) as raised:
        to_text(found.genotype, found.space, notation)

    assert told in str(raised.value)


@pytest.mark.parametrize("notation", ["darts", "nao", "enas"])
def test_a_genotype_of_one_cell_has_no_two(notation):
    genotype = random_genotype(SPACES["nas-bench-201"], 0)

    with pytest.raises(GenotypeError, match=r"a genotype of one cell; .* writes a normal and a reduction cell"):
        to_text(genotype, SPACES["nas-bench-201"], notation)


def test_a_notation_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(GenotypeError, match="no notation 'yaml'; there is text, json, darts"):
        to_text(parse("DARTS_V2"), SPACES["darts"], "yaml")


# --- what is no genotype


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Genotype()", "Genotype(...): normal is missing; it has normal, normal_concat, reduce, reduce_concat"),
        ("Genotype(normal=[)", "Genotype(...): ')' at character 17, where '(' is expected"),
        ("Genotype(normal=[('skip_connect' 0)])", "'0' at character 33, where ',' is expected"),
        ("Genotype(normal=[(0, 'skip_connect')])", "'0' at character 18, where a text in quotes is expected"),
        ("Genotype(__import__('os').system('x'))", "'__import__' at character 9, where 'normal' or 'normal_concat'"),
        (f"{DARTS_V2}()", f"'(' at character {len(DARTS_V2)}, where 'the end' is expected"),
        (DARTS_V2.replace("reduce_concat=", "normal_concat="), "normal_concat is given twice"),
        (DARTS_V2[:-1], f"the end at character {len(DARTS_V2) - 1}, where ',' is expected"),
        (DARTS_V2.replace(", ('dil_conv_3x3', 2)", ""), "Genotype(...): normal has 7 edges; each node sums two"),
        (DARTS_V2.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)"), "normal: node 3 reads state 5, but only"),
        (DARTS_V2.replace("dil_conv_3x3", "dil_conv_9x9"), "normal cell: node 3 has the operation 'dil_conv_9x9'"),
        (
            DARTS_V2.replace("[2, 3, 4, 5]", "[2, 3, 4]", 1),
            "the normal cell concatenates states 2, 3, 4; in space 'darts' its output is nodes, here 2, 3, 4, 5",
        ),
    ],
)  # fmt: skip
def test_what_is_no_darts_genotype_is_refused_with_the_place(text, told):
    assert told in refused(text)


def test_a_darts_genotype_of_a_space_that_was_asked_for_must_have_its_output():
    told = refused(DARTS_V2, space_named("nasnet", 4))

    assert (
        "the normal cell concatenates states 2, 3, 4, 5; in space 'nasnet' its output is loose nodes, here 3, 4, 5"
        in told
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 2}, "the JSON has format 2; this version of bnao reads 1"),
        ({"format": True}, "the JSON has format True; this version of bnao reads 1"),
        ({"space": "dart"}, "the JSON is of space 'dart'; there is nao, nao-large, darts"),
        ({"space": ["darts"]}, "the JSON is of space \"['darts']\"; there is"),
        ({"output": "loose ends"}, "the JSON's output is 'loose ends'; in space 'darts' it is 'nodes'"),
        ({"normal": 7}, "the JSON's normal is not a list of nodes"),
        ({"normal": [7]}, "the JSON's normal is not a list of nodes"),
        (
            {"normal": [[["skip_connect", 0]]]},
            "the JSON's normal, node 0: \"['skip_connect', 0]\" is not an edge; it is",
        ),
        ({"normal": [[[True, "skip_connect"]]]}, "is not an edge"),
        ({"normal": [[[9, "skip_connect"]]]}, "the JSON's normal: node 0 reads state 9, but only states 0..1"),
        ({"normal": [[]]}, "the JSON's normal: node 0 has no edge"),
        ({"normal": []}, "the JSON's normal: a cell has no node"),
        ({"normal": [[[0, "skip_connect"]]] * 65}, "the JSON's normal has 65 nodes; a cell has at most 64"),
        ({"reduction": None}, "1 cell; a genotype of space 'darts' has 2"),
    ],
)
def test_json_that_is_no_genotype_is_refused_with_the_place(change, told):
    content = json.loads(to_text(parse("DARTS_V2"), SPACES["darts"], "json"))

    assert told in refused(json.dumps(content | change))


def test_json_of_another_version_is_refused_by_its_number_whatever_else_it_has():
    assert refused('{"format": 9}') == "the JSON has format 9; this version of bnao reads 1"


@pytest.mark.parametrize("text", ["{", '{"format": 1}', "{" * 5000, '{"format": ' + "1" * 10_000 + "}", '{"a": NaN}'])
def test_broken_json_is_refused_in_words(text):
    assert refused(text).startswith("the JSON")


def test_a_published_cell_of_another_space_than_asked_for_is_refused():
    told = refused("DARTS_V2", SPACES["nao"])

    assert told == "DARTS_V2 is of space 'darts' with 4 nodes, where space 'nao' with 5 is asked for"


def test_a_text_of_another_space_says_whose_it_is():
    assert refused(DARTS_V2_TEXT) == (
        "the normal cell has 4 nodes; a cell of space 'nao' with 5 nodes needs 5; "
        "it is a genotype of space darts or snas"
    )
    assert refused("0:skip_connect", SPACES["nao"]) == "1 cell; a genotype of space 'nao' has 2"


def test_numbers_of_both_spaces_of_naos_first_version_are_refused():
    assert "operations 0 and 7 of NAO's first version stand in one genotype" in refused("nao-v1: 0 0 1 7")


def test_a_text_that_is_too_long_is_refused_at_once():
    assert refused("0:skip_connect+" * 10_000).startswith("150,000 characters that begin with '0:skip_connect+")


# --- hostile text


@given(st.text(max_size=300))
@settings(max_examples=500)
def test_no_text_gives_anything_but_a_genotype_or_words(text):
    check_it_is_read_or_refused(text)


@given(
    st.lists(
        st.sampled_from(
            ["Genotype", "(", ")", "[", "]", ",", "=", "normal", "reduce", "normal_concat", "reduce_concat", "range",
             "'skip_connect'", "0", "1", "2", "99999999999999999999", "{", "}", '"format"', ":", "1", '"space"', "|",
             "~", "+", ";", "nao-v1:", "json:", "darts:", "\x00", "é", "\n"]
        ),
        max_size=60,
    )
)  # fmt: skip
@settings(max_examples=500)
def test_no_words_of_the_notations_in_any_order_give_anything_but_a_genotype_or_words(words):
    check_it_is_read_or_refused("".join(words))


def test_thousands_of_mutated_texts_are_read_or_refused_and_never_take_a_second():
    rng = stream(0, "mutations")
    texts = []
    for entry in zoo():
        if entry.genotype is not None:
            for notation in NOTATIONS:
                try:
                    texts.append(to_text(entry.genotype, entry.space, notation))
                except GenotypeError:
                    continue
    texts.append(to_text(random_genotype(SPACES["nas-bench-201"], 0), SPACES["nas-bench-201"], "nas-bench-201"))
    signs = [*"0123456789()[]{}'\",:;+|~= \n\x00é", "Genotype", "nao-v1:", "json:", "((((", "[[[[", "9" * 400]
    outcomes = {True: 0, False: 0}

    for number in range(4_000):
        text = texts[number % len(texts)]
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(text) + 1))
            end = at + int(rng.integers(0, 12))
            text = text[:at] + signs[rng.integers(len(signs))] * int(rng.integers(0, 3)) + text[end:]
        outcomes[check_it_is_read_or_refused(text)] += 1

    assert outcomes[False] > 2_000  # most are broken
    assert outcomes[True] > 10  # and some are other genotypes


@pytest.mark.parametrize(
    "text",
    [
        "Genotype(" * 2_000,
        "Genotype(normal=" + "[" * 19_000,
        "Genotype(normal=[" + "('skip_connect', 0)," * 900 + "])",
        "range(0, 999999999)",
        "Genotype(normal_concat=range(0, 999999999), normal=[], reduce=[], reduce_concat=range(0, 999999999))",
        "1 " * 9_999,
        "|" * 20_000,
        "a~0|" * 5_000,
        "[" * 20_000,
        '{"format": 1, "space": "nao", "normal": ' + "[" * 19_000,
        "x" * 20_000,
        "'" * 20_000,
    ],
)
def test_long_hostile_text_is_refused_within_a_second(text):
    assert check_it_is_read_or_refused(text) is False


def check_it_is_read_or_refused(text):
    """Whether the text is a genotype; anything but that or a GenotypeError of one short line fails."""
    start = time.process_time()
    try:
        genotype = parse(text)
    except GenotypeError as error:
        assert len(str(error)) < 1000
        return False
    finally:
        assert time.process_time() - start < 1
    assert isinstance(genotype, Genotype)
    return True
