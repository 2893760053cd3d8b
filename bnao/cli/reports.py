"""Reports that commands print: tables as plain text, and the figures under them."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from bnao.cli.event_texts import figures_text
from bnao.cli.figures import cost_text, duration, mebibytes, percent, plain_score, plus_minus, printable
from bnao.evaluation.comparison import AgainstRandom
from bnao.evaluation.trainings import Evaluation
from bnao.footprint import Footprint
from bnao.memory import peak_memory
from bnao.metrics import Estimate, kendall_tau
from bnao.network.mobile import Trainable
from bnao.space.genotype import Genotype
from bnao.space.zoo import Claim
from bnao.stability import StabilityStudy
from bnao.strategies.balance import Balance, balance
from bnao.strategies.bias import SizeBias, size_bias
from bnao.strategies.front import Front
from bnao.strategies.result import Learning, Ranked, SearchResult


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str] = ()) -> list[str]:
    """Return the lines of a table: columns under their heads, right-aligned except those named.

    >>> for line in table(["rank", "from"], [["1", "search"], ["12", "pool"]], left=["from"]):
    ...     print(line)
    rank  from
       1  search
      12  pool
    """
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if head in left else cell.rjust(width)
            for head, cell, width in zip(heads, row, widths, strict=True)
        ).rstrip()
        for row in (heads, *rows)
    ]


def score_text(entry: Ranked) -> str:
    """Return a score, with its standard error where it is a share of images."""
    if entry.standard_error is None:
        return plain_score(entry.score, as_share=False)
    return f"{percent(entry.score)} {plus_minus()} {percent(entry.standard_error)}"


def balance_line(found: Balance) -> str:
    """Return the balance for people."""
    return (
        f"updates: {found.steps:,} steps; against Eq. 4 chi-square is {found.chi_square:.1f} over {found.degrees} "
        f"degrees of freedom ({found.chi_square / found.degrees:.2f} each), the largest deviation "
        f"{found.largest:+.1f} standard deviations"
    )


def search_report(result: SearchResult, top: int, *, long: bool = False) -> list[str]:
    """Return the best genotypes of a search, or its whole front, and how they came to be; ``long`` adds their texts."""
    best = result.ranked[:top] if result.front is None else result.front.entries
    heads = ["rank", "id", "score", "parameters", "multiply-adds"]
    timed = best[0].latency is not None
    heads += ["latency"] * timed + ["size"] * (result.front is not None and result.front.cost == "size") + ["round"]
    trained = any(entry.expected_updates for entry in best)
    reranked = any(entry.reranked is not None for entry in best)
    parts = [name for name in best[0].parts if name != "score"]
    heads += ["updates", "expected (Eq. 4)"] * trained + ["trained alone"] * reranked
    heads += part_heads(parts) + ["fused"] * bool(best[0].parts)
    rows = []
    for rank, entry in enumerate(best, start=1):
        row = [
            str(rank),
            entry.genotype.id,
            score_text(entry),
            f"{entry.parameters:,}",
            f"{entry.multiply_adds:,}",
        ]
        row += [cost_text(entry.latency or 0.0, "latency")] * timed
        row += [cost_text(entry.size, "size")] * ("size" in heads) + [str(entry.round)]
        row += [f"{entry.updates:,}", f"{entry.expected_updates:,.1f}"] * trained
        row += [percent(math.nan if entry.reranked is None else entry.reranked)] * reranked
        row += part_cells(entry.parts, parts) + ([] if entry.fused is None else [f"{entry.fused:.3f}"])
        rows.append(row)
    lines = [*table(heads, rows), "", *(numbered([entry.genotype for entry in best]) if long else [])]
    lines += [] if result.front is None else [front_line(result.front, len(result.ranked))]
    if result.strategy is None:
        lines += [pool_line(result), size_line(size_bias(result, top))]
    else:
        lines += strategy_lines(result.strategy)
    lines += [] if result.fusion is None else fusion_lines(result)
    found = balance(result.ranked)
    lines += [] if found is None else [balance_line(found)]
    return [*lines, *learning_lines(result.learning)]


def front_line(front: Front, scored: int) -> str:
    """Return what a search's front is and how large its hypervolume is."""
    as_share = front.entries[0].standard_error is not None
    score, most = front.reference
    named = "" if front.cost == "latency" else f" {front.cost}"
    return (
        f"front: {len(front.entries)} of {scored:,} genotypes, which no other matches in score at as low a cost "
        f"({front.cost}); hypervolume {front.hypervolume:.6g} against score {plain_score(score, as_share)} and "
        f"{cost_text(most, front.cost)}{named}: the best score within a budget is "
        f"{plain_score(front.mean_best, as_share)} on average over budgets up to there"
    )


def strategy_lines(seen: Mapping[str, Any]) -> list[str]:
    """Return what was seen of a strategy that decides at each update: its last figures, alarms, and why it stopped.

    >>> look = {"step": 9, "figures": {"entropy": 0.5}, "alarm": "6 of 6 edges have no parameters", "genotype": "..."}
    >>> for line in strategy_lines({"name": "darts", "updates": 9, "scored": 1, "epochs": [look]}):
    ...     print(line)
    darts: 9 updates, 1 genotype scored; in the end entropy 0.5
    ALARM in 1 of 1 epochs, the last: 6 of 6 edges have no parameters
    """
    looks, scored = seen["epochs"], seen["scored"]
    figures = figures_text(looks[-1]["figures"]) if looks else ""
    line = f"{seen['name']}: {seen['updates']:,} updates, {scored:,} genotype{'s' * (scored != 1)} scored"
    lines = [f"{line}; in the end {figures}" if figures else line]
    alarms = [look["alarm"] for look in looks if look.get("alarm")]
    if alarms:
        lines.append(f"ALARM in {len(alarms)} of {len(looks)} epochs, the last: {alarms[-1]}")
    lines += [f"stopped after {look['step']:,} updates: {look['stop']}" for look in looks if look.get("stop")]
    return lines


#: heads of the columns of joined scores, where they are not the part's name
_PART_HEADS = {"size": "live size"}


def part_heads(names: Sequence[str]) -> list[str]:
    """The heads of some joined scores' columns."""
    return [_PART_HEADS.get(name, name) for name in names]


def part_cells(parts: Mapping[str, float | None], names: Sequence[str]) -> list[str]:
    """The values of some joined scores as a table shows them."""
    cells = []
    for name in names:
        value = parts[name]
        cells.append("not defined" if value is None else f"{value:,.0f}" if name == "size" else f"{value:.6g}")
    return cells


def weights_line(weights: Mapping[str, float], landmarks: int) -> str:
    """What a fused ranking is made of.

    >>> weights_line({"score": 0.5, "size": 0.5}, 0)
    'fused: ranks by score (50.0 %) and size (50.0 %), all parts alike'
    """
    shares = [f"{name} ({percent(share)})" for name, share in weights.items()]
    listed = f"{', '.join(shares[:-1])} and {shares[-1]}" if len(shares) > 1 else shares[0]
    how = f"weights learned from {landmarks} genotypes trained alone" if landmarks else "all parts alike"
    return f"fused: ranks by {listed}, {how}"


def fusion_lines(result: SearchResult) -> list[str]:
    """What a search's fused ranking is made of, how far it goes with its parts, and what is not defined."""
    assert result.fusion is not None
    weights = result.fusion["weights"]
    lines = [weights_line(weights, int(result.fusion["landmarks"]))]
    fused = [entry.fused or 0.0 for entry in result.ranked]
    taus = []
    for name in weights:
        column = [entry.parts[name] for entry in result.ranked]
        missing = sum(value is None for value in column)
        if missing:
            lines.append(f"{name} is not defined for {missing} of {len(column)} genotypes, which it ranks last")
        values = [-math.inf if value is None else value for value in column]
        taus.append(f"{name} {kendall_tau(fused, values):+.3f}")
    return [*lines, f"Kendall tau of the fused ranking and its parts: {', '.join(taus)}"]


def size_line(bias: SizeBias) -> str:
    """Return a line on the correlation of a search's ranking with size."""
    return (
        f"size: Kendall tau of score and size is {estimate_text(bias.by_size, sign='+')}; edges without parameters "
        f"(skip, pool, none) are {percent(bias.free_in_top)} of those of the top {bias.top} and "
        f"{percent(bias.free_in_pool)} of the first pool's"
    )


def learning_lines(learning: Sequence[Learning]) -> list[str]:
    """Return the controller's ranking of held-out genotypes and of its own proposals, a line per round."""
    if not learning:
        return []
    rows = []
    for entry in learning:
        held_out = entry.held_out
        of_held_out = ["-"] * 5
        if held_out is not None:
            distance = held_out.reconstruction_distance
            of_held_out = [
                f"{held_out.learned_from:,}", f"{held_out.n:,}",
                *_order(held_out.pairwise_accuracy, held_out.kendall_tau), _figure(distance),
            ]  # fmt: skip
        proposals = [f"{entry.proposals:,}", *_order(entry.pairwise_accuracy, entry.kendall_tau)]
        rows.append([str(entry.round), *of_held_out, *proposals])
    heads = ["for round", "learned from", "held out", "pairwise accuracy", "Kendall tau", "reconstruction distance"]
    heads += ["proposals", "pairwise accuracy", "Kendall tau"]
    return ["", "controller: predicted against found scores, held out and of its proposals", *table(heads, rows)]


def _order(accuracy: float | None, tau: float | None) -> list[str]:
    return ["-" if accuracy is None else percent(accuracy), _figure(tau)]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def numbered(genotypes: Sequence[Trainable]) -> list[str]:
    """Return the genotypes' texts, each on a line of its own behind its number, and an empty line after them."""
    return [*(f"{number:>4}  {genotype}" for number, genotype in enumerate(genotypes, start=1)), ""]


def pool_line(result: SearchResult) -> str:
    """Return the best score beside the median of the first random pool."""
    pool = [entry.score for entry in result.ranked if entry.round == 1]
    first = result.ranked[0]
    as_share = first.standard_error is not None
    return (
        f"of {len(result.ranked):,} genotypes scored, the first has {plain_score(first.score, as_share)}; the median "
        f"of the {len(pool):,} random ones of round 1 is {plain_score(statistics.median(pool), as_share)}"
    )


def stability_report(study: StabilityStudy) -> list[str]:
    """Return the lines of a stability study: a row a method, the differences to the first under them."""
    judged = study.table_best is not None
    heads = ["method", "searches", "test error", "sd", "95% interval", "min", "max", *["regret"] * judged]
    heads += ["parameters", "multiply-adds", "free edges", "alarms", "search"]
    measured = any(method.footprint is not None for method in study.methods)
    heads += ["memory", "updates"] * measured
    rows = []
    for method in study.methods:
        entries, ends, regret = method.entries, method.interval(), study.regret(method)
        rows.append(
            [
                method.method, str(len(entries)), percent(method.mean, 2),
                "-" if method.deviation is None else percent(method.deviation, 2),
                "-" if ends is None else f"{percent(max(0.0, ends[0]), 2)} to {percent(min(1.0, ends[1]), 2)}",
                percent(min(method.errors), 2), percent(max(method.errors), 2),
                *([] if regret is None else [percent(regret, 2)]),
                f"{statistics.fmean(entry.parameters for entry in entries):,.0f}",
                f"{statistics.fmean(entry.multiply_adds for entry in entries):,.0f}",
                f"{statistics.fmean(entry.parameter_free_edges for entry in entries):.1f}",
                str(sum(entry.alarm is not None for entry in entries)),
                duration(statistics.fmean(entry.search_seconds for entry in entries)),
                *(memory_cells(method.footprint) if measured else []),
            ]
        )  # fmt: skip
    lines = table(heads, rows, left=["method"])
    first, *others = study.methods
    for other in others:
        mean, ends = other.difference(first)
        within = "" if ends is None else f", 95% interval {100 * ends[0]:+.2f} to {100 * ends[1]:+.2f}"
        lines.append(f"{other.method} less {first.method}, same seeds: {100 * mean:+.2f} points of test error{within}")
    if study.table_best is not None:
        lines.append(f"regret: mean test error less that of the table's best, {percent(1 - study.table_best, 2)}")
    return lines


def memory_cells(footprint: Footprint | None) -> list[str]:
    """Return what a method held at most, and its updates beside what was loaded; of a device only the former.

    >>> memory_cells(Footprint(300 * 2**20, 320 * 2**20, 350 * 2**20)), memory_cells(None)
    (['350 MiB', '20 MiB'], ['-', '-'])
    """
    if footprint is None:
        return ["-", "-"]
    peak = footprint.peak if footprint.device is None else footprint.device
    return [mebibytes(peak), mebibytes(footprint.increment if footprint.device is None else None)]


def left_out_line(unreadable: Mapping[str, str], file: str) -> str:
    """Return the number of image files that could not be read, and the file that lists them.

    >>> left_out_line({"a.jpeg": "a.jpeg cannot be read as an image: it is empty"}, "evaluation.json")
    'left out: 1 image file that could not be read, a.jpeg (evaluation.json says why)'
    """
    first = next(iter(unreadable))
    if len(unreadable) == 1:
        return f"left out: 1 image file that could not be read, {first} ({file} says why)"
    return f"left out: {len(unreadable):,} image files that could not be read, such as {first} (all are in {file})"


# classes of the highest error that are named
_HARDEST = 3


def hardest_line(done: Evaluation, class_names: Sequence[str]) -> str | None:
    """Return the classes in which most test images are misclassified, the worst first; None where that is not known."""
    known = [(error, name) for error, name in zip(done.class_errors, class_names, strict=False) if error is not None]
    if not known:
        return None
    worst = sorted(known, key=lambda each: -each[0])[:_HARDEST]
    return f"its hardest classes: {', '.join(f'{printable(name)} ({percent(error, 1)})' for error, name in worst)}"


def error_text(done: Evaluation) -> str:
    """Return the mean test error in percent, with the standard deviation where there are several repeats."""
    if len(done.test_errors) == 1:
        return percent(done.mean, 2)
    return f"{percent(done.mean, 2)} {plus_minus()} {percent(done.deviation, 2)} ({len(done.test_errors)})"


def evaluation_report(
    evaluations: Sequence[Evaluation],
    sources: Sequence[str] | None = None,
    scores: Mapping[Genotype, float] | None = None,
    *,
    as_share: bool = True,
    long: bool = False,
    claims: Sequence[tuple[str, Claim | None] | None] = (),
) -> list[str]:
    """Return a table of stand-alone test errors, one line per genotype.

    Args:
        evaluations: one a genotype.
        sources: where each genotype is from, such as a rank.
        scores: one-shot scores.
        as_share: whether scores are shares of images, printed in percent.
        long: whether the genotypes' texts follow the table.
        claims: the published name of each genotype, with what was claimed of it; empty: nothing is said of that.
    """
    first = evaluations[0]
    repeated = f" (mean {plus_minus()} sd, repeats)" if len(first.test_errors) > 1 else ""
    heads = ["", "id", f"test error{repeated}", *["top-5 error"] * bool(first.top5_errors)]
    heads += [*["C"] * (first.channels is not None), "parameters", "multiply-adds"]
    heads += (["one-shot score"] if scores else []) + (["from"] if sources else [])
    heads += ["published", "its claim"] if claims else []
    rows = []
    for number, done in enumerate(evaluations):
        row = [
            str(number + 1),
            done.genotype.id,
            error_text(done),
            *[percent(done.top5_mean, 2)] * bool(done.top5_errors),
        ]
        row += [*[str(done.channels)] * (done.channels is not None), f"{done.parameters:,}", f"{done.multiply_adds:,}"]
        score = scores.get(done.genotype) if scores and isinstance(done.genotype, Genotype) else None
        row += ["-" if score is None else plain_score(score, as_share)] if scores else []
        row += [sources[number]] if sources else []
        row += _claim_cells(claims[number]) if claims else []
        rows.append(row)
    lines = [*table(heads, rows, left=["from", "published", "its claim"])]
    if long:
        lines += ["", *numbered([done.genotype for done in evaluations])[:-1]]
    inherited = [f"{at:>4}  {done.inherited}" for at, done in enumerate(evaluations, start=1) if done.inherited]
    return [*lines, *([""] if inherited else []), *inherited]


def _claim_cells(known: tuple[str, Claim | None] | None) -> list[str]:
    """Return the name of a published cell, and its claimed error and size."""
    if known is None:
        return ["-", "-"]
    name, claim = known
    if claim is None:
        return [name, "-"]
    size = "" if claim.parameters is None else f", {claim.parameters:g} M"
    return [name, f"{claim.error:.2f} %{size}"]


def agreement_lines(
    estimates: Mapping[str, Estimate], what: str = "one-shot scores against stand-alone accuracies"
) -> list[str]:
    """Return the agreement of two lists of scores on the order; ``what`` names them."""
    first = next(iter(estimates.values()))
    lines = [f"{what}, n = {first.n} (in brackets the {first.level:.0%} bootstrap interval over genotypes):"]
    for name, estimate in estimates.items():
        figures = "not defined for so few" if math.isnan(estimate.value) else str(estimate)
        lines.append(f"  {name.replace('_', ' '):<18} {figures}")
    return lines


def estimate_text(estimate: Estimate, sign: str = "") -> str:
    """Return a figure with its interval; in words where it is not defined."""
    if math.isnan(estimate.value):
        return "not defined"
    return f"{estimate.value:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"


def random_line(found: AgainstRandom) -> str:
    """Return the best of a search beside random genotypes, for people."""
    return (
        f"test error: {percent(found.first, 2)} for the genotype ranked first, {percent(found.top_mean, 2)} on "
        f"average over the top {found.top}; the median of {found.random} random ones of the first pool is "
        f"{percent(found.random_median, 2)}{_gain(found)}"
    )


def _gain(found: AgainstRandom) -> str:
    if found.gain is None:
        return ""
    value, low, high = (f"{100 * each:.2f}" for each in (found.gain.value, found.gain.low, found.gain.high))
    shows = "" if found.gain.low > 0 or found.gain.high < 0 else ", which includes zero: it shows nothing yet"
    return (
        f"\ngain over random: the top {found.top} have {value} [{low}, {high}] points less test error on average than "
        f"the {found.random} random ones (95% bootstrap interval over genotypes{shows})"
    )


@frozen
class Spent:
    """Time and memory that a command took.

    Attributes:
        seconds: since it began.
        memory: the most that the process has held, bytes; None where the system does not say.

    >>> Spent(0.4, None).line(), Spent(125, 300 * 2**20).line()
    ('took 0.4 s', 'took 2:05, peak memory 300 MiB')
    """

    seconds: float
    memory: int | None

    @classmethod
    def since(cls, start: float) -> Spent:
        """Measure both now.

        Args:
            start: of the command, by ``time.monotonic``.
        """
        return cls(round(time.monotonic() - start, 1), peak_memory())

    def to_json(self) -> dict[str, float | int | None]:
        """Return plain data, as ``--json`` prints them."""
        return {"seconds": self.seconds, "peak_memory_bytes": self.memory}

    def line(self) -> str:
        """Return both as text."""
        took = f"{self.seconds:.1f} s" if self.seconds < 60 else duration(self.seconds)
        return f"took {took}" + ("" if self.memory is None else f", peak memory {self.memory / 2**20:,.0f} MiB")
