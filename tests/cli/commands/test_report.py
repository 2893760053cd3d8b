"""``bnao report``, ``runs``, ``compare`` and ``clean`` on work that was pretended: no framework is needed."""

import json
import re
import shutil
from pathlib import Path

import pytest

from bnao.reporting.page import LARGEST, html_page, read_reports
from bnao.run import Folder, Run, read_json
from bnao.strategies.front import Front
from bnao.strategies.result import read_result
from tests.cli.commands.test_study import SMALL, bench  # noqa: F401  # the fixture is used by its name
from tests.cli.test_cli import PRETEND, bnao, finished, refused, workplace  # noqa: F401  # likewise
from tests.reporting.browser import CHROMIUM, Page

EVALUATE = ("evaluate", "run", "--top", 4, "--epochs", 2, "--repeats", 2, "--train-images", 640)


def embedded(page, name):
    """What a page has as JSON in a script element."""
    return json.loads(re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.S)[1])


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder for what is made once for all tests."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def evaluated(kept):
    """The folder of a finished search with an evaluation of its best within it."""
    if not (kept / "run").exists():
        for command in ((*PRETEND, "--out", "run"), EVALUATE):
            done = bnao(*command)
            assert done.exit_code == 0, done.output
        shutil.copytree("run", kept / "run")
    else:
        shutil.copytree(kept / "run", "run")
    return Path("run")


@pytest.fixture
def written(evaluated, kept):
    """The page on that folder."""
    pytest.importorskip("jinja2")
    if not (kept / "report.html").exists():
        done = bnao("report", evaluated, "-o", kept / "report.html")
        assert done.exit_code == 0, done.output
    return Path(shutil.copy(kept / "report.html", "report.html"))


# --- report


def test_the_report_of_a_search_is_one_page_that_fetches_nothing(written):
    page = written.read_text(encoding="utf-8")

    assert len(page.encode()) < LARGEST
    # what stands in scripts and comments is not fetched; outside them there is neither a source nor a style sheet
    markup = re.sub(r"<script.*?</script>|<style.*?</style>|<!--.*?-->", "", page, flags=re.S)
    assert not re.search(r"<(?:img|iframe|link(?! rel=\"icon\" href=\"data:)|script)|src=|url\(", markup)
    assert "default-src 'none'" in markup


def test_the_page_has_the_ranking_the_settings_and_the_raw_numbers(written):
    page = written.read_text(encoding="utf-8")

    result = read_result(Path("run"))
    ids = re.findall(r'<tr data-genotype="(\w+)">', page)
    assert ids[: len(result.ranked)] == [entry.genotype.id for entry in result.ranked]
    assert "<td>rounds</td>" in re.sub(r" data-order=\"[^\"]*\"", "", page).replace('<td class="">', "<td>")
    files = embedded(page, "raw")["files"]
    assert files["run/result.json"] == result.to_json()
    assert any(name.startswith("evaluate-") for name in files)


def test_each_chart_of_a_page_is_a_vega_lite_specification_with_its_data(written):
    specs = embedded(written.read_text(encoding="utf-8"), "specs")

    assert len(specs) >= 8
    for spec in specs.values():
        assert spec["$schema"].endswith("/vega-lite/v6.json")
        assert spec["data"]["values"]
        for layer in spec["layer"]:
            fields = {of["field"] for name, of in layer["encoding"].items() if name != "tooltip" and "field" in of}
            rows = layer.get("data", spec["data"])["values"]
            assert all(fields <= set(row) for row in rows)


def test_points_of_updates_and_their_line_are_those_of_the_result(written):
    specs = embedded(written.read_text(encoding="utf-8"), "specs")

    (spec,) = [s for s in specs.values() if any("expected" in row for row in s["data"]["values"])]
    shown = {row["id"]: (row["updates"], row["expected"]) for row in spec["data"]["values"]}
    assert shown == {e.genotype.id: (e.updates, e.expected_updates) for e in read_result(Path("run")).ranked}
    line = spec["layer"][0]["data"]["values"]
    assert all(row["expected"] == row["updates"] for row in line)


def test_the_order_of_pairs_in_a_study_is_that_of_its_file():
    pytest.importorskip("jinja2")
    bnao("study", "ranking", *SMALL, "--out", "s")

    (report,) = read_reports("s")

    content = json.loads(Path("s/study.json").read_text())
    (section,) = [section for section in report.sections if "epochs" in section.title]
    rows = section.charts[0].spec["data"]["values"]
    figures = [entry for entry in content["agreement"] if entry["figure"] == "pairwise_accuracy"]
    assert {(r["of"], r["epochs"], r["value"]) for r in rows} == {
        (entry["sampler"], entry["epochs"], entry["value"]) for entry in figures
    }
    assert "proportional" in html_page([report])


def test_studies_of_tables_have_pages(bench):  # noqa: F811
    pytest.importorskip("jinja2")
    of_table = ("--table", bench, "--space", "nas-bench-201")
    controllers = ("controllers", "--test-column", "test", "--controllers", "random:10:3,evolution:10:3", "--pool", 10)
    predictor = ("predictor", "--controller", "ridge", "--sizes", "20,40", "--seeds", 2)
    for name, *arguments in ((*controllers, "--queries", 60), predictor):
        done = bnao("study", name, *arguments, *of_table, "--out", name)
        assert done.exit_code == 0, done.output

    done = bnao("report", "controllers", "predictor", "-o", "tables.html")

    assert done.exit_code == 0, done.output
    page = Path("tables.html").read_text(encoding="utf-8")
    assert "Controllers in nas-bench-201" in page
    assert "Predictor in nas-bench-201" in page


def test_a_ranking_that_gives_way_to_skips_is_marked(finished):  # noqa: F811
    content = read_json(finished / "result.json")
    for place, entry in enumerate(content["ranked"]):
        operation = "skip_connect" if place < 5 else "sep_conv_3x3"
        entry["genotype"] = re.sub(r"(\d):\w+", rf"\1:{operation}", entry["genotype"])
    Folder(finished).write_json("result.json", content)

    (report,) = read_reports(finished)

    assert report.sections[0].alarms[0].startswith("100.0 % of the edges of the best 5 have no parameters")


def test_a_name_cannot_become_markup(finished):  # noqa: F811
    pytest.importorskip("jinja2")
    evil = finished.rename("<img src=x onerror=alert(1)>")

    page = html_page(read_reports(evil))

    assert "<img" not in re.sub(r"<script.*?</script>", "", page, flags=re.S)


@pytest.mark.parametrize(
    ("folder", "why"),
    [("missing", "no folder missing"), ("empty", "empty holds no search, evaluation or study of bnao")],
)
def test_a_report_of_nothing_is_refused(folder, why):
    Path("empty").mkdir()

    assert why in refused(1, "report", folder)


def test_a_report_of_a_search_that_is_not_finished_is_refused(finished):  # noqa: F811
    (finished / "result.json").unlink()

    assert "run is not finished" in refused(1, "report", finished)


def test_a_report_says_which_part_of_a_log_it_could_not_read(finished):  # noqa: F811
    pytest.importorskip("jinja2")
    log = finished / "log.jsonl"
    said = "2 of the lines of log.jsonl cannot be read"
    assert said not in html_page(read_reports(finished))

    log.write_text("[" * 9 + "\n{}\n" + log.read_text())

    assert said in html_page(read_reports(finished))


def test_a_result_changed_by_hand_is_refused_in_one_line(finished):  # noqa: F811
    (finished / "result.json").write_text('{"format": 1, "space": "nao"}')

    assert "was changed by hand or by another program" in refused(1, "report", finished)


def test_without_jinja2_a_report_says_how_to_get_it(finished, monkeypatch):  # noqa: F811
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)

    assert "pip install 'bnao[report]'" in refused(1, "report", finished)


def test_a_page_that_cannot_be_written_is_said_in_one_line(finished):  # noqa: F811
    pytest.importorskip("jinja2")

    assert "there is no folder nowhere" in refused(1, "report", finished, "-o", "nowhere/report.html")


# --- the page in a browser

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)")


@pytest.fixture
def page(written, tmp_path):
    with Page(tmp_path / "profile", written.resolve().as_uri()) as page:
        page.wait_for("document.documentElement.dataset.drawn === 'yes'")
        yield page


@needs_chromium
def test_the_page_is_drawn_without_a_complaint_and_without_a_network(page, tmp_path):
    page.picture(tmp_path / "page.png")

    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    drawn = page.run("[...document.querySelectorAll('[data-chart]')].map((e) => e.querySelectorAll('svg').length)")
    assert set(drawn) == {1}
    assert (tmp_path / "page.png").stat().st_size > 10_000


@needs_chromium
def test_a_click_on_a_point_shows_its_cell_and_marks_its_row(page):
    page.click("[data-chart='part-1-2-1'] .mark-symbol path")

    page.wait_for("!document.getElementById('chosen').hidden")
    chosen = page.run("document.getElementById('chosen-id').textContent")
    rows = page.run("[...document.querySelectorAll('tr.chosen')].map((row) => row.dataset.genotype)")
    assert set(rows) == {chosen}
    assert page.run("document.querySelectorAll('#chosen-drawing svg').length") == 1
    points = "[...document.querySelectorAll('[data-chart=part-1-2-1] .mark-symbol path')]"
    page.wait_for(f"{points}.filter((point) => point.getAttribute('stroke')).length === 1")
    assert page.complaints == []


@needs_chromium
def test_a_genotype_is_chosen_and_let_go_with_the_keyboard(page):
    page.run("document.querySelector('tr[data-genotype] button').focus()")
    page.press("Enter")

    page.wait_for("!document.getElementById('chosen').hidden")
    assert page.run("document.getElementById('chosen-id').textContent") == read_result(Path("run")).best.id

    page.press("Escape")
    page.wait_for("document.getElementById('chosen').hidden")


@needs_chromium
def test_a_head_sorts_its_table_by_number_and_says_so(page):
    sizes = "[...document.querySelector('table').tBodies[0].rows].map((row) => Number(row.cells[3].dataset.order))"

    page.click("th:nth-child(4) button")
    rising = page.run(sizes)
    page.click("th:nth-child(4) button")

    assert rising == sorted(rising)
    assert page.run(sizes) == sorted(rising, reverse=True)
    assert page.run("document.querySelector('th:nth-child(4)').getAttribute('aria-sort')") == "descending"


@needs_chromium
def test_the_page_is_dark_where_the_system_is_and_light_on_demand(written, tmp_path):
    ground = "getComputedStyle(document.body).backgroundColor"
    with Page(tmp_path / "profile", written.resolve().as_uri(), dark=True) as page:
        page.wait_for("document.documentElement.dataset.drawn === 'yes'")
        dark = page.run(ground)
        page.click("#theme")
        light = page.run(ground)

        assert (dark, light) == ("rgb(15, 19, 24)", "rgb(246, 247, 249)")
        assert page.complaints == []


@needs_chromium
def test_what_is_read_aloud_names_each_chart_table_and_button(page):
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]

    unnamed = [
        node["role"]["value"]
        for node in nodes
        if not node["ignored"]
        and node["role"]["value"] in ("button", "region", "article", "graphics-document", "link", "table")
        and not node.get("name", {}).get("value")
        and node["role"]["value"] != "table"
    ]
    assert unnamed == []
    charts = [node for node in nodes if node.get("role", {}).get("value") in ("graphics-document", "Graphics-Document")]
    assert charts
    assert page.run("document.querySelectorAll('h1').length") == 2
    assert page.run("document.documentElement.lang") == "en"


# --- runs


def test_runs_lists_what_is_finished_and_where_the_other_stands(evaluated):
    assert bnao(*PRETEND, "--out", "other").exit_code == 0
    Path("other/result.json").unlink()

    done = bnao("runs", ".")

    assert done.exit_code == 0, done.output
    heads, *rows = done.stdout.splitlines()
    assert heads.split() == ["folder", "kind", "state", "best", "changed", "MB"]
    kinds = {row.split()[0].split("/")[-1][:3]: row.split()[1:3] for row in rows}
    assert kinds == {"run": ["search", "finished"], "oth": ["search", "stopped"], "eva": ["evaluation", "finished"]}
    assert re.search(r"stopped at round 2", done.stdout)


def test_a_folder_in_which_a_process_works_is_running(finished):  # noqa: F811
    (finished / "result.json").unlink()

    with Run.open(finished):
        (found,) = [json.loads(line) for line in bnao("runs", ".", "--json").stdout.splitlines()]

    assert found["state"] == "running"


def test_runs_of_a_folder_that_is_not_there_is_refused():
    assert "no folder runs" in refused(1, "runs")


# --- compare


def test_two_searches_side_by_side_show_what_differs_and_the_front_of_both(finished):  # noqa: F811
    assert bnao(*PRETEND, "--seed", 1, "--out", "other").exit_code == 0

    told = bnao("compare", finished, "other")
    plain = json.loads(bnao("compare", finished, "other", "--json").stdout)

    assert told.exit_code == 0, told.output
    assert re.search(r"^seed +0 +1$", told.stdout, re.M)
    assert plain["settings"] == {"seed": [0, 1]}
    both = [e for folder in ("run", "other") for e in read_result(Path(folder)).ranked]
    for each in plain["pareto"]:
        assert not any(e.parameters <= each["parameters"] and e.score > each["score"] for e in both)
    assert max(e.score for e in both) == plain["pareto"][-1]["score"]


def test_each_search_has_its_front_and_hypervolume_against_one_reference(finished):  # noqa: F811
    assert bnao(*PRETEND, "--seed", 1, "--out", "other").exit_code == 0

    told = bnao("compare", finished, "other", "--cost", "multiply-adds")
    plain = json.loads(bnao("compare", finished, "other", "--cost", "multiply-adds", "--json").stdout)

    ranked = [read_result(Path(folder)).ranked for folder in ("run", "other")]
    both = [entry for some in ranked for entry in some]
    reference = min(0.0, *(e.score for e in both)), max(e.multiply_adds for e in both)
    assert (plain["cost"], plain["reference"]) == ("multiply-adds", {"score": reference[0], "cost": reference[1]})
    joint = Front.of(both, "multiply-adds")
    assert plain["hypervolume"] == joint.hypervolume
    on_it = [each["genotype"] for each in plain["pareto"]]
    assert on_it == [str(entry.genotype) for entry in joint.entries[::-1]]
    for entries, run in zip(ranked, plain["runs"], strict=True):
        own, front = Front.of(entries, "multiply-adds"), run["front"]
        assert front["genotypes"] == [str(entry.genotype) for entry in own.entries[::-1]]
        assert front["hypervolume"] == own.hypervolume_against(*reference)
        assert front["share_of_joint"] == pytest.approx(front["hypervolume"] / joint.hypervolume, abs=1e-6)
        assert front["on_joint_front"] == [text for text in front["genotypes"] if text in on_it]
        row = [run["folder"], len(own.entries), len(front["on_joint_front"]), f"{front['hypervolume']:.6g}"]
        assert list(map(str, row)) in [line.split()[:4] for line in told.stdout.splitlines()]
    assert sum(len(run["front"]["on_joint_front"]) for run in plain["runs"]) == len(on_it)
    assert f"and {reference[1]:,} multiply-adds:" in told.stdout


def test_searches_for_one_front_are_compared_by_its_cost(finished):  # noqa: F811
    for seed in (0, 1):
        search = (*PRETEND, "--pareto", "multiply-adds", "--seed", seed, "--out", f"front{seed}")
        assert bnao(*search).exit_code == 0

    assert json.loads(bnao("compare", "front0", "front1", "--json").stdout)["cost"] == "multiply-adds"
    assert json.loads(bnao("compare", "front0", finished, "--json").stdout)["cost"] == "parameters"


def test_a_cost_that_a_folder_does_not_know_is_refused(finished):  # noqa: F811
    shutil.copytree(finished, "other")

    why = refused(1, "compare", finished, "other", "--cost", "latency")

    assert re.search(r"run has no latency of \w+; searches with --latency know them, so compare by parameters or", why)


def test_of_two_copies_of_a_search_each_has_the_whole_front(finished):  # noqa: F811
    shutil.copytree(finished, "copy")

    plain = json.loads(bnao("compare", finished, "copy", "--json").stdout)

    fronts = [run["front"] for run in plain["runs"]]
    assert fronts[0] == fronts[1]
    assert fronts[0]["on_joint_front"] == fronts[0]["genotypes"]
    assert fronts[0]["share_of_joint"] == 1.0
    assert len(plain["pareto"]) == 2 * len(fronts[0]["genotypes"])


@pytest.mark.parametrize(
    ("others", "why"),
    [((), "1 folder to compare"), (("run/evaluation",), "is of kind evaluation, but run of kind search")],
)
def test_what_cannot_be_compared_is_refused(evaluated, others, why):
    next(evaluated.glob("evaluate-*")).rename(evaluated / "evaluation")

    assert why in refused(1, "compare", evaluated, *others)


def test_other_data_are_a_warning(finished):  # noqa: F811
    assert bnao(*PRETEND, "--train-images", 640, "--out", "other").exit_code == 0

    assert "warning: they are of different data" in bnao("compare", finished, "other").stdout


# --- clean


def test_clean_asks_first_and_removes_the_checkpoint_alone(evaluated):
    before = {path for path in evaluated.rglob("*") if path.is_file()}

    kept = bnao("clean", ".", input="n\n")
    assert kept.exit_code == 1
    assert {path for path in evaluated.rglob("*") if path.is_file()} == before

    done = bnao("clean", ".", input="y\n")

    assert done.exit_code == 0, done.output
    gone = before - set(evaluated.rglob("*"))
    assert {path.name for path in gone} == {"checkpoint.safetensors", "checkpoint-earlier.safetensors"}
    assert bnao("check", evaluated).exit_code == 0


def test_clean_keeps_the_weights_of_the_best_networks(evaluated):
    (folder,) = evaluated.glob("evaluate-*")
    entries = json.loads((folder / "evaluation.json").read_text())["evaluations"]
    best = sorted(entries, key=lambda entry: entry["test_error"])[:2]

    done = bnao("clean", ".", "--weights", "--keep", 2, "--yes")

    assert done.exit_code == 0, done.output
    assert bnao("check", evaluated).exit_code == 0
    left = {json.loads(p.with_suffix(".json").read_text())["genotype"] for p in folder.glob("trainings/*.safetensors")}
    assert left == {entry["genotype"] for entry in best}


def test_clean_leaves_work_that_is_not_finished_and_work_that_is_new(finished):  # noqa: F811
    assert "nothing to remove" in bnao("clean", ".", "--older-than", 1).stdout
    (finished / "result.json").unlink()

    assert "nothing to remove" in bnao("clean", ".", "--weights").stdout
    assert (finished / "checkpoint.safetensors").is_file()


# --- in Python


def test_a_result_is_a_data_frame_where_pandas_is_installed(finished):  # noqa: F811
    pandas = pytest.importorskip("pandas")

    frame = read_result(finished).to_frame()

    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["rank"]) == list(range(1, len(frame) + 1))


def test_a_data_frame_without_pandas_says_how_to_get_it(finished, monkeypatch):  # noqa: F811
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)

    with pytest.raises(Exception, match="a data frame needs pandas: pip install pandas"):
        read_result(finished).to_frame()


def test_a_results_picture_has_each_genotype_and_the_line_of_equation_4(finished):  # noqa: F811
    pytest.importorskip("matplotlib")
    result = read_result(finished)

    scores, updates = result.plot().axes

    assert sum(len(each.get_offsets()) for each in scores.collections) == len(result.ranked)
    (line,) = updates.lines
    assert list(line.get_xdata()) == list(line.get_ydata())
