"""docs/results.md says what the study.json files beside it say, and these what their own scores say."""

import json
import pathlib
import re
import sys

import pytest
from attrs import evolve

from bnao.studies.ranking import RankingStudy

DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs"
STUDIES = sorted((DOCS / "results").glob("*/study.json"))
RANKINGS = [path for path in STUDIES if '"kind": "ranking"' in path.read_text(encoding="utf-8")]


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    for name in ("results_figures", "results_page"):
        sys.modules.pop(name, None)
    import results_page

    return results_page.page()


def test_the_page_is_what_the_studies_say(page):
    assert (DOCS / "results.md").read_text(encoding="utf-8") == page


def test_the_template_uses_each_figure_that_has_a_name(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    from results_page import FIGURES

    used = {
        place.split()[0] for place in re.findall(r"\{\{ (.+?) \}\}", (DOCS / "results.template.md").read_text("utf-8"))
    }

    assert used <= set(FIGURES)
    assert set(FIGURES) - used <= {"difference", "judged"}  # parts of others


def test_a_figure_that_does_not_exist_is_found(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    from results_page import FIGURES, fill

    with pytest.raises(KeyError, match="pairwize"):
        fill("{{ pairwize A uniform last }}", FIGURES)


def test_the_page_says_how_the_published_supernet_was_trained():
    page = (DOCS / "results.md").read_text(encoding="utf-8")
    checked = page.split("## The metrics, checked on published scores")[1].split("\n## ")[0]

    # lib/models/cell_searchs/rank_model.py of aoiang/few-shot-NAS, UniformRandomSupernet.forward
    assert "for each of the 15 cells of every forward pass" in " ".join(checked.split())
    assert "sampled uniformly" not in page


def test_every_picture_is_there_and_small():
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (DOCS / "results.md").read_text(encoding="utf-8"))

    assert len(pictures) >= 8
    for picture in pictures:
        assert 1_000 < (DOCS / picture).stat().st_size < 200_000, picture


def test_the_studies_tell_no_folder_of_a_machine():
    assert STUDIES
    for path in STUDIES:
        assert not re.search(r"(/tmp|/home|/work|/root|\.\./)", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("path", RANKINGS, ids=lambda path: path.parent.name)
def test_a_rankings_figures_follow_from_its_scores(path):
    content = json.loads(path.read_text(encoding="utf-8"))

    again = evolve(RankingStudy.from_json(content), resamples=1).to_json()

    for part in ("agreement", "differences", "gained_by_size", "reliability"):
        assert [entry["value"] for entry in content[part]] == [entry["value"] for entry in again[part]]
        for entry in content[part]:
            if entry["value"] is not None:
                assert entry["low"] <= entry["value"] <= entry["high"]


@pytest.mark.parametrize("path", RANKINGS, ids=lambda path: path.parent.name)
def test_a_rankings_supernets_were_updated_as_eq_4_expects(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    ranked_alone = content["trained"] == len(content["genotypes"])

    for supernet in content["supernets"]:
        updates, expected = supernet["updates"], supernet["expected_updates"]
        chi_square = sum((u - e) ** 2 / e for u, e in zip(updates, expected, strict=True))
        degrees = len(updates) - ranked_alone
        # of counts that are expected to be small the statistic varies more than chi-square does
        variance = sum(2 + 1 / e for e in expected)
        assert abs(chi_square - degrees) < 5 * variance**0.5
