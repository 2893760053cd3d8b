"""A search as a report: ranking, size, updates, learning curves, controller and cells."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bnao.config.settings import SearchConfig
from bnao.logs import lost_lines, read_events
from bnao.reporting import charts
from bnao.reporting.content import MOST, Chart, Report, Section, Table, estimate, number, share, words
from bnao.reporting.origins import about_of, data_text, origin_section, settings_section
from bnao.run import read_config
from bnao.strategies.balance import balance
from bnao.strategies.bias import SizeBias, size_bias
from bnao.strategies.front import Front, cost_of
from bnao.strategies.journal import RESULT
from bnao.strategies.result import Ranked, SearchResult, read_result

# more parameter-free edges than this among the best, beyond the first pool's share, are worth a warning
_FREE = 0.2
# deviations of updates from Eq. 4 that a sound sampler has less than once in 10,000 searches
_SIGMAS = 5.0
# tau on held-out genotypes below which a controller has learned next to nothing
_LEARNED = 0.1


def search_report(folder: Path) -> Report:
    """Return the report of the finished search in a folder.

    Raises:
        RunError: it is not finished, or its files are not what a search wrote.
    """
    result, config = read_result(folder), read_config(folder, SearchConfig)
    bias = size_bias(result, config.top)
    shown = result.ranked[:MOST]
    sections = [
        Section("Ranking", [_how_ranked(result)], alarms=_alarms(result, bias, config.top), tables=[_ranking(result)]),
        _front_section(result),
        _scores_section(result, config, bias),
        Section("Cells", ["The best, in order."], drawn=[entry.genotype.id for entry in shown[: config.top]]),
        _updates_section(result),
        _strategy_section(result),
        _learning_section(read_log(folder), lost_in_log(folder)),
        _controller_section(result),
        settings_section("bnao search", config),
        origin_section(folder),
    ]
    data = data_text(about_of(folder))
    first = result.ranked[0]
    facts = [("score of the first", _score(first).text), *_facts(result)]
    return Report(
        "search",
        folder.resolve().name,
        f"Search of {result.space}" + (f" on {data.partition(':')[0]}" if data else ""),
        facts,
        sections,
        {entry.genotype.id: entry.genotype for entry in shown},
        {entry.genotype.id: _about(rank, entry) for rank, entry in enumerate(shown, start=1)},
        {f"{folder.resolve().name}/{RESULT}": result.to_json()},
    )


def _facts(result: SearchResult) -> list[tuple[str, str]]:
    """Return what a search was, in figures."""
    if result.strategy is not None:
        updates, scored = result.strategy["updates"], result.strategy["scored"]
        found = [("strategy", str(result.strategy["name"])), ("updates", f"{updates:,}"), ("scored", f"{scored:,}")]
        return [*found, ("genotypes ranked", f"{len(result.ranked):,}")]
    pool = [entry.score for entry in result.ranked if entry.round == 1]
    return [
        ("median of the first pool", _plain(statistics.median(pool), result.ranked[0])),
        ("genotypes scored", f"{len(result.ranked):,}"),
        ("rounds", str(max(entry.round for entry in result.ranked))),
        ("updates", f"{sum(entry.updates for entry in result.ranked):,}"),
    ]


def _is_share(entry: Ranked) -> bool:
    return entry.standard_error is not None


def _plain(score: float, like: Ranked) -> str:
    return share(score).text if _is_share(like) else number(score, ".5g").text


def _score(entry: Ranked) -> Any:
    return share(entry.score, entry.standard_error) if _is_share(entry) else number(entry.score, ".5g")


def _about(rank: int, entry: Ranked) -> str:
    return f"rank {rank}, score {_score(entry).text}, {entry.parameters:,} parameters, round {entry.round}"


def _how_ranked(result: SearchResult) -> str:
    if result.front is not None:
        return (
            f"The front of score and {_COSTS[result.front.cost]} first, then the fronts behind it, each by score. "
            "Choose an id to see its cell."
        )
    if result.strategy is not None:
        return f"Ranked by the choice of the strategy {result.strategy['name']}. Choose an id to see its cell."
    if result.fusion is not None:
        parts = [f"{name} ({share(weight, digits=0).text})" for name, weight in result.fusion["weights"].items()]
        return f"Ranked by the ranks of {', '.join(parts)}, joined. Choose an id to see its cell."
    if any(entry.reranked is not None for entry in result.ranked):
        return (
            "The best are ranked by a short training of their own, the others by score. Choose an id to see its cell."
        )
    return "Ranked by one-shot score. Choose an id to see its cell."


def _ranking(result: SearchResult) -> Table:
    """Return the ranking with every column that says anything."""
    entries = result.ranked[:MOST]
    trained = any(entry.expected_updates for entry in entries)
    reranked = any(entry.reranked is not None for entry in entries)
    parts = [name for name in entries[0].parts if name != "score"]
    timed = entries[0].latency is not None
    heads = ["id", "rank", "score", "parameters", "multiply-adds", *["latency (ms)"] * timed, "round"]
    heads += ["updates", "expected (Eq. 4)"] * trained + ["trained alone"] * reranked
    heads += [{"size": "live size"}.get(name, name) for name in parts] + ["fused"] * (result.fusion is not None)
    rows = []
    for rank, entry in enumerate(entries, start=1):
        row = [
            words(entry.genotype.id), number(rank), _score(entry),
            number(entry.parameters), number(entry.multiply_adds), *[number(entry.latency, ".4g")] * timed,
            number(entry.round),
        ]  # fmt: skip
        row += [number(entry.updates), number(entry.expected_updates, ",.1f")] * trained
        row += [share(entry.reranked)] * reranked
        row += [number(entry.parts[name], ",.0f" if name == "size" else ".4g") for name in parts]
        row += [number(entry.fused, ".3f")] * (result.fusion is not None)
        rows.append(row)
    more = f" (the first {MOST:,} of {len(result.ranked):,})" if len(result.ranked) > MOST else ""
    return Table(f"Genotypes{more}", heads, rows, [entry.genotype.id for entry in entries])


#: titles of the costs of a front
_COSTS = {"multiply-adds": "multiply-adds", "parameters": "parameters", "latency": "latency (ms)", "size": "size"}


def _front_section(result: SearchResult) -> Section:
    """Return the front of score and cost among all genotypes, and its members."""
    front = result.front
    if front is None:
        return Section("Front")
    title, first = _COSTS[front.cost], result.ranked[0]
    members = {entry.genotype for entry in front.entries}
    rows = [
        {
            "id": entry.genotype.id, "cost": cost_of(entry, front.cost), "score": entry.score,
            "told": _score(entry).text, "among": "front" if entry.genotype in members else "dominated",
        }
        for entry in reversed(result.ranked[:MOST])  # the front is drawn last, over the others
    ]  # fmt: skip
    x = charts.scale("cost", title)
    y = charts.scale("score", "one-shot score", form=".0%" if _is_share(first) else None)
    chart = Chart(
        "Score against cost",
        f"One point a genotype. No other has at least the score of a member of the front at as low a cost; the grey "
        f"line is the best score within a budget. It ends at the reference's cost, {front.reference[1]:,.10g}.",
        charts.points(
            rows, x, y, tooltip={"id": "genotype", "told": "score", "cost": title, "among": "among"},
            layers=[charts.segment(_stairs(front), x, y)],
            colour=charts.series("among", "among", ["dominated", "front"]),
        ),
    )  # fmt: skip
    entries = [[words(e.genotype.id), _score(e), number(cost_of(e, front.cost), ",.10g")] for e in front.entries]
    text = (
        f"{len(members)} of {len(result.ranked):,} genotypes. The hypervolume is {front.hypervolume:.6g} against score "
        f"{_plain(front.reference[0], first)} and {front.reference[1]:,.10g} ({title}); the best score within a budget "
        f"is {_plain(front.mean_best, first)} on average over budgets up to there."
    )
    ids = [entry.genotype.id for entry in front.entries]
    return Section("Front", [text], charts=[chart], tables=[Table("Members", ["id", "score", title], entries, ids)])


def _stairs(front: Front) -> list[tuple[float, float]]:
    """Return the corners of the line of the best score within a budget, from the cheapest member to the reference."""
    members = front.entries[::-1]
    costs = [*(cost_of(entry, front.cost) for entry in members), front.reference[1]]
    return [
        (cost, entry.score)
        for entry, start, end in zip(members, costs, costs[1:], strict=False)
        for cost in (start, end)
    ]


def _alarms(result: SearchResult, bias: SizeBias, top: int) -> list[str]:
    """Return what in a search's figures should make its reader doubt the ranking."""
    looks = [] if result.strategy is None else result.strategy["epochs"]
    alarms = list(dict.fromkeys(str(look["alarm"]) for look in looks if look.get("alarm")))
    alarms += [f"the search was stopped: {look['stop']}" for look in looks if look.get("stop")]
    if result.strategy is None and bias.free_in_top - bias.free_in_pool > _FREE:
        alarms.append(
            f"{share(bias.free_in_top).text} of the edges of the best {top} have no parameters (skip, pool, none), but "
            f"{share(bias.free_in_pool).text} of the first pool's: the ranking may favour what trains fast"
        )
    if not math.isnan(bias.by_size.high) and bias.by_size.high < 0:
        alarms.append(f"scores fall with size: Kendall tau {bias.by_size}; small networks may only train faster")
    found = balance(result.ranked)
    if found is not None and abs(found.largest) > _SIGMAS:
        alarms.append(f"a genotype's updates are {found.largest:+.1f} standard deviations from what Eq. 4 expects")
    for learned in result.learning:
        tau = None if learned.held_out is None else learned.held_out.kendall_tau
        if tau is not None and tau < _LEARNED:
            alarms.append(
                f"the controller orders genotypes held out before round {learned.round} no better than chance "
                f"(Kendall tau {tau:.2f})"
            )
    return alarms


def _scores_section(result: SearchResult, config: SearchConfig, bias: SizeBias) -> Section:
    entries = result.ranked[:MOST]
    if len(entries) < 2:
        return Section("Scores")
    form = ".0%" if _is_share(entries[0]) else None
    size = config.size.replace("-", " ")
    sizes, scores = (np.array([getattr(entry, name) for entry in entries]) for name in ("size", "score"))
    log = bool(sizes.min() > 0)
    rows = [
        {
            "id": entry.genotype.id, "rank": rank, "score": entry.score, "size": entry.size, "round": str(entry.round),
            "told": _score(entry).text, "parameters": entry.parameters,
            # where it stands within the column of its round, an even spread in no order
            "place": round((rank * 0.618034) % 1, 3),
        }
        for rank, entry in enumerate(entries, start=1)
    ]  # fmt: skip
    tooltip = {"id": "genotype", "rank": "rank", "told": "score", "parameters": "parameters", "round": "round"}
    x, y = charts.scale("size", size, log=log), charts.scale("score", "one-shot score", form=form)
    line = charts.fitted_line(sizes, scores, log=log)
    tau = estimate(bias.by_size).text
    by_size = Chart(
        "Score against size",
        f"One point a genotype. Kendall tau of score and size is {tau}. The grey line is the score by size alone "
        f"(least squares); above it are genotypes that are better than their size tells.",
        charts.points(
            rows, x, y, tooltip=tooltip, layers=[charts.segment(line, x, y)] if line else [],
            colour=charts.series("round", "round", sorted({str(entry.round) for entry in entries}, key=int)),
        ),
    )  # fmt: skip
    by_round = Chart(
        "Score by the round of proposal",
        "One point a genotype, by the last weights it was scored with; the bar is the median of the round.",
        charts.by_group(rows, charts.scale("round", "round"), y, tooltip=tooltip),
    )
    if result.strategy is not None:
        return Section("Scores", charts=[by_size])
    text = (
        f"Edges without parameters (skip, pool, none) are {share(bias.free_in_top).text} of those of the top "
        f"{bias.top} and {share(bias.free_in_pool).text} of the first pool's."
    )
    return Section("Scores", [text], charts=[by_size, by_round])


def _updates_section(result: SearchResult) -> Section:
    """Return the updates of each path beside what Eq. 4 expects of them."""
    found = balance(result.ranked)
    if found is None:
        return Section("Updates")
    rows: list[dict[str, Any]] = [
        {
            "id": entry.genotype.id, "expected": entry.expected_updates, "updates": entry.updates,
            "size": entry.size, "round": entry.round,
        }
        for entry in result.ranked[:MOST]
        if entry.expected_updates > 0
    ]  # fmt: skip
    x = charts.scale("expected", "updates expected by Eq. 4", zero=True)
    y = charts.scale("updates", "updates", zero=True)
    most = max(row["expected"] for row in rows)
    along = np.linspace(0, most, 40)
    within = [
        charts.segment([(at, max(0.0, at + sign * 2 * math.sqrt(at))) for at in along.tolist()], x, y, dashed=True)
        for sign in (-1, 1)
    ]
    chart = Chart(
        "Updates against Eq. 4",
        "One point a genotype. The line is the expectation of Eq. 4, the dashed ones are two standard deviations off.",
        charts.points(
            rows, x, y, colour=charts.by_number("size", "size", form="~s"),
            tooltip={"id": "genotype", "updates": "updates", "expected": "expected", "size": "size"},
            layers=[charts.segment([(0, 0), (most, most)], x, y), *within],
        ),
    )  # fmt: skip
    text = (
        f"{found.steps:,} steps; chi-square against Eq. 4 is {found.chi_square:.1f} over {found.degrees} degrees of "
        f"freedom, the largest deviation {found.largest:+.1f} standard deviations."
    )
    return Section("Updates", [text], charts=[chart])


def _strategy_section(result: SearchResult) -> Section:
    """Return what a strategy that decides at each update said after each epoch, a chart for each figure."""
    looks = [] if result.strategy is None else list(result.strategy["epochs"])
    names = list(dict.fromkeys(name for look in looks for name in look["figures"]))
    found = []
    for name in names:
        rows = [
            {"epoch": epoch, "value": look["figures"][name], "of": name}
            for epoch, look in enumerate(looks, start=1)
            if look["figures"].get(name) is not None
        ]
        y = charts.scale("value", name)
        spec = charts.lines(
            rows,
            charts.scale("epoch", "epoch", whole=True),
            y,
            colour=charts.series("of", "figure", [name]),
            marks=len(rows) < 60,
        )
        found.append(Chart(f"{name[:1].upper()}{name[1:]}", "After each epoch of updates.", spec))
    return Section("Strategy", charts=found)


def read_log(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the events of a run's log by their kinds."""
    events: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in read_events(folder):
        events[event["event"]].append(event)
    return events


def lost_in_log(folder: Path) -> list[str]:
    """Return a paragraph on lines of a run's log that cannot be read, if there are any."""
    lost = lost_lines(folder)
    return [f"{lost} of the lines of log.jsonl cannot be read; what they told is not in these curves."] if lost else []


def _learning_section(events: Mapping[str, Sequence[Mapping[str, Any]]], lost: Sequence[str]) -> Section:
    """Return the learning curves of the supernet and the controller."""
    found = []
    # a search that decides at each update has no rounds
    steps = [{"round": "1", "step": e["step"], "loss": e["loss"]} for e in events.get("update", [])]
    steps += [
        {"round": str(e["round"]), "step": (e["round"] - 1) * e["steps"] + e["step"], "loss": e["loss"]}
        for e in events.get("step", [])
    ]
    if steps:
        found.append(
            Chart(
                "Supernet's loss", "Cross-entropy of the trained paths on their batches, means of neighbouring steps.",
                _curve(charts.thinned(steps, ["loss"]), "step", "step"),
            )
        )  # fmt: skip
    epochs = [{"round": str(e["round"]), "epoch": e["epoch"], "loss": e["loss"]} for e in events.get("controller", [])]
    if epochs:
        by_round: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for epoch in epochs:
            by_round[epoch["round"]].append(epoch)
        rows = [row for own in by_round.values() for row in charts.thinned(own, ["loss"], most=150)]
        found.append(
            Chart("Controller's loss", "Its training after each round.", _curve(rows, "epoch", "epoch"))
        )  # fmt: skip
    return Section("Learning curves", lost, charts=found)


def _curve(rows: Sequence[Mapping[str, Any]], field: str, title: str) -> charts.Spec:
    rounds = list(dict.fromkeys(row["round"] for row in rows))
    return charts.lines(
        rows,
        charts.scale(field, title, whole=True),
        charts.scale("loss", "loss"),
        colour=charts.series("round", "round", rounds),
    )


def _controller_section(result: SearchResult) -> Section:
    """Return how far the controller's predictions agree with scores, on held-out genotypes and its own proposals."""
    if not result.learning:
        return Section("Controller")
    rows, points = [], []
    for learned in result.learning:
        held_out = learned.held_out
        of_held_out = (
            [number(None)] * 5
            if held_out is None
            else [
                number(held_out.learned_from), number(held_out.n), share(held_out.pairwise_accuracy),
                number(held_out.kendall_tau, ".3f"), number(held_out.reconstruction_distance, ".3f"),
            ]
        )  # fmt: skip
        rows.append([
            number(learned.round), *of_held_out,
            number(learned.proposals), share(learned.pairwise_accuracy), number(learned.kendall_tau, ".3f"),
        ])  # fmt: skip
        of_both = {"held out": None if held_out is None else held_out.kendall_tau, "proposals": learned.kendall_tau}
        points += [
            {"round": learned.round, "tau": round(tau, 4), "of": name}
            for name, tau in of_both.items()
            if tau is not None
        ]
    heads = ["for round", "learned from", "held out", "pairwise accuracy", "Kendall tau", "reconstruction distance"]
    heads += ["proposals", "pairwise accuracy", "Kendall tau"]
    y = charts.scale("tau", "Kendall tau", zero=True)
    x = charts.scale("round", "for round", whole=True)
    chart = Chart(
        "Controller's agreement",
        "Kendall tau of predicted and found scores, of genotypes it had not learned from and of its own proposals.",
        charts.lines(
            points, x, y, colour=charts.series("of", "genotypes", ["held out", "proposals"]), marks=True,
            layers=[charts.level(0, y)],
        ),
    )  # fmt: skip
    return Section("Controller", charts=[chart] if points else [], tables=[Table("By round", heads, rows)])
