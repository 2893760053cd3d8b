"""The published cells: what they are, what was claimed and what is counted; docs/zoo.md says the same."""

import json
import pathlib

import pytest

from bnao.errors import GenotypeError
from bnao.network.claims import count_claims
from bnao.space.genotype import Cell, Edge, Genotype, Node
from bnao.space.zoo import published_cell, zoo

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"

#: the names in the facts' file
NAMES = {
    "NAO-WS (TF repo)": "NAO-WS",
    "NASNet-A (as in DARTS repo)": "NASNet-A",
    "NASNet-A (original slim code)": "NASNet-A-slim",
    "ENAS (micro)": "ENAS",
    "SNAS (mild)": "SNAS-mild",
    "SNAS (moderate)": "SNAS-moderate",
    "SNAS (aggressive)": "SNAS-aggressive",
    "P-DARTS (repo)": "P-DARTS",
    "PC-DARTS (CIFAR)": "PC-DARTS-CIFAR",
    "PC-DARTS (ImageNet)": "PC-DARTS-ImageNet",
    "BayesNAS (lambda 0.01)": "BayesNAS-0.01",
    "BayesNAS (lambda 0.007)": "BayesNAS-0.007",
    "BayesNAS (lambda 0.005)": "BayesNAS-0.005",
}
CANNOT_BE_EXPRESSED = {"NASNet-A-slim", "BayesNAS-0.01", "BayesNAS-0.007", "BayesNAS-0.005"}


@pytest.fixture
def facts(shared_data):
    entries = json.loads((shared_data / "zoo.json").read_text())["entries"]
    return {NAMES.get(entry["name"], entry["name"]): entry for entry in entries}


def test_every_cell_of_the_facts_is_there_and_no_other(facts):
    assert {entry.name for entry in zoo()} == set(facts)


def test_the_cells_are_those_of_the_facts_with_their_outputs(facts):
    for entry in zoo():
        if entry.genotype is None:
            continue
        cells = [facts[entry.name]["genotype"][kind] for kind in ("normal", "reduce")]
        expected = Genotype(
            *[Cell([Node([Edge(*edge) for edge in node]) for node in cell["nodes"]]) for cell in cells],
            output="loose ends",
        )

        assert entry.genotype == expected, entry.name
        for (_, cell), fact in zip(entry.genotype.named_cells, cells, strict=True):
            assert list(cell.outputs(entry.genotype.output)) == fact["concat"], entry.name


def test_the_claims_are_those_of_the_facts(facts):
    for entry in zoo():
        errors = {claim.error for claim in entry.claims if claim.data == "cifar10"}
        sizes = {claim.parameters for claim in entry.claims if claim.data == "cifar10"} - {None}
        claims = facts[entry.name]["claimed"]

        assert errors == {claim["error_pct"] for claim in claims if "error_pct" in claim}, entry.name
        assert sizes == {claim["params_M"] for claim in claims if "params_M" in claim}, entry.name


def test_what_was_counted_elsewhere_is_counted_here(facts):
    checked = 0
    for entry in zoo():
        others = facts[entry.name].get("computed_params", {})
        cells = {"36ch_20cells_no_aux": 6, "36ch_17cells_no_aux": 5, "36ch_17cells_in_NAO_V2_net": 5}
        here = {
            (each.network.cells, each.network.channels): each.parameters for each in count_claims(entry) if each.network
        }
        for name, n in cells.items():
            if name in others and (n, 36) in here:
                assert here[n, 36] == others[name], entry.name
                checked += 1
    assert checked >= 14


def test_cells_that_cannot_be_expressed_say_why():
    without = {entry.name for entry in zoo() if entry.genotype is None}

    assert without == CANNOT_BE_EXPRESSED
    for name in without:
        assert any(note.startswith("Not expressible: ") for note in published_cell(name).notes)


def test_claims_that_disagree_with_the_count_are_known():
    disagreeing = {entry.name for entry in zoo() for each in count_claims(entry) if each.agrees is False}

    assert {"NAONet-A", "NAONet-B", "NAONet-V2", "ENAS", "NASNet-A"} <= disagreeing
    assert {"P-DARTS", "PC-DARTS-CIFAR"}.isdisjoint(disagreeing)


def test_a_name_that_is_nearly_one_is_told():
    with pytest.raises(GenotypeError, match="no published cell 'DARTS_V3'; did you mean DARTS_V2"):
        published_cell("DARTS_V3")


def test_the_data_name_no_folder_and_no_code():
    text = (pathlib.Path(__file__).resolve().parents[2] / "bnao" / "space" / "zoo.json").read_text()

    assert "/home" not in text
    assert "import " not in text


def test_the_page_is_what_the_zoo_says(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    import make_zoo

    assert (DOCS / "zoo.md").read_text(encoding="utf-8") == make_zoo.page()


@pytest.mark.parametrize("name", ["NAONet-V2", "DARTS_V2"])
def test_the_pages_pictures_are_those_that_bnao_draws(name):
    picture = (DOCS / "zoo" / f"{name}.svg").read_text(encoding="utf-8")

    assert f"](zoo/{name}.svg)" in (DOCS / "zoo.md").read_text(encoding="utf-8")
    assert picture == published_cell(name).genotype._repr_svg_()


def test_the_page_lists_every_cell():
    page = (DOCS / "zoo.md").read_text(encoding="utf-8")

    for entry in zoo():
        assert f"| {entry.name} |" in page
