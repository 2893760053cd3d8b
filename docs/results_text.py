"""The words of docs/results.md, with every number out of a study.json; see make_results.py."""

from __future__ import annotations

import numpy as np
from results_figures import (
    PAPER,
    PAPER_DIVERSE,
    PAPER_EPOCHS,
    PAPER_SIMILAR,
    accuracies,
    difference_table,
    each_seed,
    figure,
    marks,
    one,
    percent,
    ranking_table,
    samplers,
    spread,
    study,
    table,
    verdict,
)

from bnao.metrics import compare_rankings


def page() -> str:
    """The whole page."""
    parts = (
        headlines(), checked(), independent(), protocol(), premise(), contest(), predictor(), weights(), again(),
    )  # fmt: skip
    return "# How far the rankings can be trusted\n\n" + "\n\n".join(part.strip() for part in parts) + "\n"


def accuracy(content, sampler, epochs):
    """Pairwise accuracy of a sampler after so many epochs."""
    return one(content["agreement"], sampler=sampler, epochs=epochs, figure="pairwise_accuracy")


def difference(content, epochs, sampler="proportional", name="pairwise_accuracy"):
    """What a sampler has more than uniform sampling."""
    return one(content["differences"], sampler=sampler, epochs=epochs, figure=name)


def gain(content, sampler, epochs):
    """Spearman's rho of size and ranks gained."""
    return one(content["gained_by_size"], sampler=sampler, epochs=epochs)


def headlines() -> str:
    """What came out, in short."""
    a, diverse, similar = study("A"), study("B-diverse"), study("B-similar")
    long = study("A-long")
    last_a, last_b = marks(a)[-1], marks(diverse)[-1]
    first_a, first_b = marks(a)[0], marks(diverse)[0]
    lines = [
        f"- **Independent truth (NAS-Bench-201, {len(a['genotypes'])} cells):** after {last_a} epochs pairwise accuracy "
        f"is {percent(accuracy(a, 'uniform', last_a))} % under uniform and "
        f"{percent(accuracy(a, 'proportional', last_a))} % under proportional sampling; the difference is "
        f"{percent(difference(a, last_a), '+')} points ({verdict(difference(a, last_a))}), after {first_a} epochs "
        f"{percent(difference(a, first_a), '+')} ({verdict(difference(a, first_a))}).",
        f"- **The same, four times as long at half the width:** after {marks(long)[-1]} epochs "
        f"{percent(accuracy(long, 'uniform', marks(long)[-1]))} % under uniform and "
        f"{percent(accuracy(long, 'proportional', marks(long)[-1]))} % under proportional sampling, a difference of "
        f"{percent(difference(long, marks(long)[-1]), '+')} points ({verdict(difference(long, marks(long)[-1]))}).",
        f"- **The paper's protocol, scaled down (50 genotypes of `nao`):** of diverse sizes the difference is "
        f"{percent(difference(diverse, first_b), '+')} points after {first_b} epochs "
        f"({verdict(difference(diverse, first_b))}) and {percent(difference(diverse, last_b), '+')} after {last_b} "
        f"({verdict(difference(diverse, last_b))}); of similar sizes {percent(difference(similar, last_b), '+')} "
        f"({verdict(difference(similar, last_b))}). The paper has +7 points after 5 epochs and +2 after 50.",
        f"- **A stronger law helps sooner, not more:** drawing by the third power of the size, the difference from uniform "
        f"sampling is {percent(difference(long, marks(long)[0], 'proportional:3'), '+')} points after {marks(long)[0]} "
        f"epochs and {percent(difference(long, marks(long)[-1], 'proportional:3'), '+')} after {marks(long)[-1]}.",
        f"- **Size alone beats them all there:** Kendall {figure(long['size_alone'])} without any training, against "
        f"{figure(one(long['agreement'], sampler='proportional', epochs=marks(long)[-1], figure='kendall_tau'))} for the "
        f"best of these supernets, which were trained for minutes.",
        "- **The premise** (large architectures need longer to show what they are worth) is seen in all six tables of whole "
        "trainings that others made: size goes with accuracy the more, the longer the training.",
    ]
    return "\n".join(
        [
            "bnao exists so that a ranking can be trusted, and this page says how far it can, as it came out. In brackets "
            "are 95 % bootstrap intervals, over genotypes and seeds. CIFAR-10 is a JPEG copy (quality 75) of all 60,000 "
            "images throughout. Every number below stands in a `study.json` under [results/](results/), and a test "
            "checks that this page says the same.",
            "",
            *lines,
        ]
    )


def checked() -> str:
    """The metrics on published scores."""
    content = study("agreement")
    shared, few = content["columns"]
    rows = [
        [
            {"oneshot_supernet": "one supernet", "fewshot_supernet": "five sub-supernets"}[column["column"]],
            percent(column["pairwise_accuracy"]),
            f"{100 * column['pairwise_accuracy_of_draws']:.1f} (sd {100 * column['deviation_of_draws']:.1f})",
            figure(column["kendall_tau"]),
            f"{column['ranks_gained_by_size']:+.2f}",
        ]
        for column in (shared, few)
    ]
    heads = ["published scores", "pairwise accuracy, %", "in draws of 50, %", "Kendall tau", "gain by size"]
    return f"""
## The metrics, checked on published scores

The one-shot and few-shot scores of all {content["n"]:,} NAS-Bench-201 cells that the few-shot NAS paper (ICML 2021)
published, against the accuracies beside them:

{table(heads, rows)}

They are the published figures (Kendall 0.485 and 0.551; 0.746 in draws of 50). *Gain by size* is Spearman's rho of size
and the ranks an architecture gains under one-shot scores: it is negative, so the published supernet favours small cells,
as the balanced paper says of one-shot methods. It was not trained on one genotype a step, as the supernets of this page
are: its authors' program draws another genotype, uniformly, for each of the 15 cells of every forward pass, and scores a
genotype by putting it into all 15 (that the published scores were made by the published program is assumed here). In
draws of 50, as the paper's Tables 2, 3 and 6 have them, pairwise accuracy has a standard deviation of
{100 * shared["deviation_of_draws"]:.1f} points from draw to draw: differences of a few points between two draws of 50 say nothing; only paired ones do.
"""


def independent() -> str:
    """Study A."""
    content = study("A")
    last = marks(content)[-1]
    published = study("A-published")["columns"][0]
    return f"""
## A. Independent truth: NAS-Bench-201

A supernet of the space `nas-bench-201` (C = 16, N = 1, 32 x 32 images) is trained on
{content["data"].split(": ")[1].split(" train")[0]} CIFAR-10 images (scored on {content["config"]["data"]["dev_images"]} others, the same for all), drawing from all {content["trained"]:,} cells, for {last} epochs of
batches of 64, three supernets under each sampler. It is scored along the way on {len(content["genotypes"])} random
cells. The truth was made by others: the benchmark's test accuracy after 200 epochs of stand-alone training,
{accuracies(content)}. The network counted for Eq. 3 has N = 1: {spread(content)}.

{ranking_table(content)}

{difference_table(content)}

Pairwise accuracy of each supernet after {last} epochs, %: {each_seed(content, last)}.

The published one-shot scores of the same {len(content["genotypes"])} cells (another program, N = 5, far longer
training) have {percent(published["pairwise_accuracy"])} % and Kendall {figure(published["kendall_tau"])}; size alone,
with no training at all, has Kendall {figure(content["size_alone"])}.

![one-shot against stand-alone accuracy](results/A/scores.png)
![pairwise accuracy along the epochs](results/A/accuracy.svg)
![ranks gained against size](results/A/ranks.png)

{what_a_says(content)}
{longer()}
"""


def what_a_says(content) -> str:
    """What study A means."""
    last = marks(content)[-1]
    wins = [
        p > u
        for p, u in zip(
            accuracy(content, "proportional", last)["each_seed"],
            accuracy(content, "uniform", last)["each_seed"],
            strict=True,
        )
    ]
    published = study("A-published")["columns"][0]
    images = int(content["data"].split(": ")[1].split(" train")[0].replace(",", ""))
    return f"""
What it says, for and against the paper:

- **For.** So early in training a supernet orders these cells *worse than chance*, and size is why: ranks gained under
  one-shot scores fall with size (Spearman {figure(gain(content, "uniform", last), 2, "+")} under uniform sampling). The
  paper's argument is right, and here it is not a matter of a few points: a search on such scores would choose badly on
  purpose.
- **For.** Proportional sampling takes a part of that back: {percent(difference(content, last), "+")} points of pairwise
  accuracy after {last} epochs ({verdict(difference(content, last))}), in {sum(wins)} of {len(wins)} seeds, and the
  preference for small cells shrinks to {figure(gain(content, "proportional", last), 2, "+")}.
- **Against.** Only a part: {percent(accuracy(content, "proportional", last))} % is still no better than chance. Counting
  parameters, which costs nothing, orders the same cells with Kendall {figure(content["size_alone"])}. The best ten cells
  are not found by any of these supernets.
- The published supernet, trained far longer and on another genotype in each of its cells, has
  {percent(published["pairwise_accuracy"])} % on the same cells, and still favours small ones ({published["ranks_gained_by_size"]:+.2f}): there is something left to balance
  after a long training too, which was not tried here.

How many updates is that? {last} epochs are {last * (images // 64):,} steps; an operation on an edge is in one path of
five, so a convolution's kernel sees a fifth of them under uniform sampling, and the identity and the pools need none.
"""


def longer() -> str:
    """A longer training of a smaller supernet, and a stronger law."""
    content = study("A-long")
    return f"""
### Longer, and with a stronger law

A narrower supernet of the same space (C = 8, N = 1, 16 x 16 images; size ratios differ a little from C = 16) makes four
times the steps in the same time. {seeds_text(content)}
`proportional:3` draws in proportion to the third power of the size.

{ranking_table(content)}

{difference_table(content)}

![pairwise accuracy along the epochs, longer](results/A-long/accuracy.svg)

{what_longer_says(content)}
"""


def seeds_text(content) -> str:
    """What the intervals are over."""
    seeds = len({entry["seed"] for entry in content["supernets"]})
    if seeds == 1:
        return f"One seed, so intervals are over the {len(content['genotypes'])} cells alone."
    return f"{seeds} supernets under each sampler."


def what_longer_says(content) -> str:
    """What the longer training means."""
    first, last = marks(content)[0], marks(content)[-1]
    strong = "proportional:3"

    def told(sampler) -> str:
        each = (
            f"{percent(difference(content, epochs, sampler), '+')} points after {epochs} epochs "
            f"({verdict(difference(content, epochs, sampler))})"
            for epochs in marks(content)
        )
        return ", ".join(each)

    return f"""
- Proportional less uniform is {told("proportional")}: the gain is there at the end, when the learning rate has fallen, in
  each seed ({each_seed(content, last)}). In between, at a high rate, scores of one supernet swing more from seed to seed
  than samplers differ.
- Uniform sampling goes from {percent(accuracy(content, "uniform", first))} % after {first} epochs to
  {percent(accuracy(content, "uniform", last))} after {last}: four times the training alone did not make its order better
  than chance. The preference for small cells (Spearman of size and ranks gained) is then
  {figure(gain(content, "uniform", last), 2, "+")} under uniform and {figure(gain(content, "proportional", last), 2, "+")}
  under proportional sampling.
- With the third power of the size it is {figure(gain(content, strong, last), 2, "+")}; less uniform the difference is
  {told(strong)}. So a stronger law helps sooner, and in the end no more than the paper's own.
- The ten best cells are hardly found by any of these: precision at {content["top"]} is
  {one(content["agreement"], sampler="proportional", epochs=last, figure="precision_at_top")["value"]:.2f}
  under proportional sampling.
"""


def protocol() -> str:
    """Study B."""
    diverse, similar = study("B-diverse"), study("B-similar")
    last = marks(diverse)[-1]
    own = {5: (study("B-diverse-own-5"), study("B-similar-own-5")), 10: (study("B-diverse-own-10"), similar)}
    own[last] = diverse, similar  # the last mark is the end of its own cosine
    rows = []
    for epochs in sorted({*own, *PAPER_EPOCHS}):
        row = [str(epochs)]
        for sampler in ("uniform", "proportional"):
            row.append(str(PAPER[sampler][PAPER_EPOCHS.index(epochs)]) if epochs in PAPER_EPOCHS else "")
        for sampler in ("uniform", "proportional"):
            row.append(percent(accuracy(own[epochs][0], sampler, epochs)) if epochs in own else "")
        row.append(percent(difference(own[epochs][0], epochs), "+") if epochs in own else "")
        rows.append(row)
    heads = ["epochs", "paper, uniform", "paper, proportional", "here, uniform", "here, proportional", "difference"]
    at = OWN_EPOCHS[0]
    sizes = [
        [
            "diverse",
            str(PAPER_DIVERSE),
            percent(accuracy(own[at][0], "uniform", at)),
            spread(diverse),
            accuracies(diverse),
        ],
        [
            "similar",
            str(PAPER_SIMILAR),
            percent(accuracy(own[at][1], "uniform", at)),
            spread(similar),
            accuracies(similar),
        ],
    ]
    reliability = one(diverse["reliability"], figure="pairwise_accuracy")
    tau = one(diverse["reliability"], figure="kendall_tau")
    return f"""
## B. The paper's protocol, scaled to two CPU cores

50 random genotypes of `nao`, each trained alone (C = 8, N = 1, 16 x 16 images, 5,000 CIFAR-10 images, 8 epochs of a
cosine to 0, tested on 10,000 images), and supernets over just these (4,000 of the same images to train on, 1,000 to score
on), three under each sampler. The paper has 50,000 images of 32 x 32 and its search's network.

Like with like: the paper trains "for different time (5, 10, 20, 30, 50 epochs respectively)", so in the next two tables
each supernet has that many epochs and a learning rate whose cosine ends with them. The tables of all figures below them
score one supernet of {last} epochs along the way, where the rate has not yet fallen at the earlier marks.

How far can anything rank these? Two seeds of the stand-alone training of the diverse 50 agree with each other on
{percent(reliability)} % of the pairs (Kendall {figure(tau)}); the truth below is the mean of the two.

### Tables 2 and 6: pairwise accuracy by epochs, %

{table(heads, rows)}

### Table 3: sizes, after {at} epochs of uniform sampling, pairwise accuracy in %

{table(["sizes", "paper", "here", "sizes here", "accuracies here"], sizes)}

### All figures, 50 of diverse sizes

A cosine of its own for each number of epochs:

{chr(10).join([ranking_table(own[OWN_EPOCHS[0]][0]), *(rows_of(own[epochs][0]) for epochs in OWN_EPOCHS[1:])])}

Scored along one cosine of {last} epochs:

{ranking_table(diverse)}

{difference_table(diverse)}

Each supernet after {last} epochs, %: {each_seed(diverse, last)}. Size alone has Kendall {figure(diverse["size_alone"])}.

![pairwise accuracy along the epochs, diverse sizes](results/B-diverse/accuracy.svg)
![one-shot against stand-alone accuracy, diverse sizes](results/B-diverse/scores.svg)
![updates against size](results/B-diverse/updates.svg)
![ranks gained against size](results/B-diverse/ranks.svg)

### All figures, 50 of similar sizes

A cosine of its own, {at} epochs:

{ranking_table(own[at][1])}

Scored along one cosine of {last} epochs:

{ranking_table(similar)}

{difference_table(similar)}

Each supernet after {last} epochs, %: {each_seed(similar, last)}. Size alone has Kendall {figure(similar["size_alone"])}.

![pairwise accuracy along the epochs, similar sizes](results/B-similar/accuracy.svg)

{what_b_says(diverse, similar)}
"""


#: the numbers of epochs that were also trained with a cosine of their own
OWN_EPOCHS = (5, 10)


def rows_of(content) -> str:
    """The rows of a ranking table, its head left out."""
    return ranking_table(content).split("\n", 2)[2]


def what_b_says(diverse, similar) -> str:
    """What study B means."""
    last = marks(diverse)[-1]
    strong = "proportional:3"
    outside = [
        (name, sampler, epochs)
        for name, content in (("diverse", diverse), ("similar", similar))
        for sampler in samplers(content)[1:]
        for epochs in marks(content)
        if verdict(difference(content, epochs, sampler)) != "includes zero"
    ]
    told = "; ".join(f"{sampler}, {name} sizes, {epochs} epochs" for name, sampler, epochs in outside)
    compare_rankings = sum(len(marks(content)) * (len(samplers(content)) - 1) for content in (diverse, similar))
    widest = [difference(diverse, epochs) for epochs in marks(diverse)]
    half = sum(100 * (entry["high"] - entry["low"]) / 2 for entry in widest) / len(widest)
    nb = study("A")
    return f"""
### What it says, for and against the paper

- **Not confirmed at this scale.** Of {compare_rankings} differences of pairwise accuracy along one curve from uniform sampling
  {len(outside)} {"has" if len(outside) == 1 else "have"} an interval without zero{f" ({told})" if told else ""}. With 50
  genotypes and three supernets the intervals of proportional less uniform are about {half:.0f} points to either side, so
  the paper's +7 (after 5 epochs) and +2 (after 50), for which it gives no interval, could not be told from zero here
  either.
- **With a cosine of its own** each length tells another story: proportional less uniform is
  {percent(difference(study("B-diverse-own-5"), 5), "+")} points after 5 epochs,
  {percent(difference(study("B-diverse-own-10"), 10), "+")} after 10 and {percent(difference(diverse, last), "+")} after
  {last}. One of these three excludes zero; among the {compare_rankings + 3} intervals of this section one that does so by chance
  would be no surprise, and it takes more genotypes to say.
- **Why not more.** Proportional sampling can only mend an order that size has spoilt. Here size says next to nothing of the
  truth: ranking the diverse 50 by size alone has Kendall {figure(diverse["size_alone"])}, on NAS-Bench-201
  {figure(nb["size_alone"])}. The largest of them has
  {max(e["size"] for e in diverse["genotypes"]) / min(e["size"] for e in diverse["genotypes"]):.1f} times the parameters
  of the smallest (there {max(e["size"] for e in nb["genotypes"]) / min(e["size"] for e in nb["genotypes"]):.1f} times).
- **The sampler does what it is for.** Under uniform sampling ranks are gained by the small (Spearman of size and gain
  {figure(gain(diverse, "uniform", last), 2, "+")} after {last} epochs), under proportional sampling
  {figure(gain(diverse, "proportional", last), 2, "+")}, and with the third power of the size
  {figure(gain(diverse, strong, last), 2, "+")}: the stronger the law, the more the scores favour the large. But where
  size does not tell accuracy, that moves the order without mending it: pairwise accuracy is
  {percent(accuracy(diverse, "uniform", last))}, {percent(accuracy(diverse, "proportional", last))} and
  {percent(accuracy(diverse, strong, last))} %.
- Table 3's order (similar sizes are ranked better than diverse ones) is not to be seen either; the truth of the similar
  50 is one training each and so noisier.

So: use proportional sampling where size tells accuracy and training is short, as in A;
where size tells nothing, as here, it costs nothing that 50 architectures could show, and gives nothing.
"""


def premise() -> str:
    """Study C."""
    content = study("size")
    rows = []
    for entry in content["tables"]:
        early, late = entry["correlation"][0], entry["correlation"][-1]
        rows.append(
            [
                entry["table"], f"{entry['n']:,}", str(early["epochs"]), figure(early["spearman"], 2, "+"),
                str(late["epochs"]), figure(late["spearman"], 2, "+"), figure(early["spearman_with_last"], 2),
            ]
        )  # fmt: skip
    heads = ["table", "n", "first epochs", "size and accuracy", "last epochs", "size and accuracy", "first with last"]
    return f"""
## C. The premise, in trainings that others made

Spearman's rho of parameters and accuracy as training goes on: random cells of five spaces on ImageNet (NDS), 214 DARTS
cells on CIFAR-10 for 600 epochs, and NAS-Bench-201 (which tells the end alone).

{table(heads, rows)}

![size against accuracy along training](results/size/size.svg)

In each table that has more than a few epochs the correlation rises as training goes on, and in most it begins at or
below zero: small architectures converge first, and ranks after a short training hold size against the large ones. That
much of the paper's argument is right in data that nobody here made. In `DARTS_fix-w-d_in`, where width and depth are
fixed and only 5 epochs were trained, it is below zero and still rising.
"""


def contest() -> str:
    """Controllers on NAS-Bench-201."""
    content = study("controllers")
    names = list(dict.fromkeys(entry["controller"] for entry in content["regret"]))
    rows = []
    for queries in (100, 200, 500, 1000, 2000):
        row = [f"{queries:,}"]
        for name in names:
            found = one(content["regret"], controller=name, queries=queries)
            row.append(
                f"{found['best']:.2f}; {found['regret']:.2f} ({found['regret_low']:.2f} to {found['regret_high']:.2f})"
            )
        rows.append(row)
    searches = {name: one(content["regret"], controller=name, queries=100)["searches"] for name in names}
    heads = ["queries", *(f"{name} ({searches[name]} searches)" for name in names)]
    return f"""
## Controllers on NAS-Bench-201

A search is told the validation accuracy of each cell it asks for (trained on half of the train images), and judged by
the test accuracy of the cell whose validation accuracy is the best so far. Mean best test accuracy in %, then regret: how
far it is from the table's best, {content["optimum"]:.2f} % (mean, and 10th to 90th percentile of the searches). The cell
with the best validation accuracy of all {content["rows"]:,} has {content["test_of_best_score"]:.2f} %, a regret of
{content["optimum"] - content["test_of_best_score"]:.2f}: no search that trusts validation ends below that but by luck.

{table(heads, rows)}

![regret against queries](results/controllers/regret.svg)

{what_contest_says(content)}
"""


def what_contest_says(content) -> str:
    """What the comparison means."""
    regret = {
        name: [one(content["regret"], controller=name, queries=queries)["regret"] for queries in (200, 2000)]
        for name in ("random", "evolution", "nao")
    }
    own = content["optimum"] - content["test_of_best_score"]
    order = sorted(regret, key=lambda name: regret[name][0])
    return f"""
After 200 queries {order[0]} has the smallest mean regret ({regret[order[0]][0]:.2f}), then {order[1]}
({regret[order[1]][0]:.2f}) and {order[2]} ({regret[order[2]][0]:.2f}): NAO, learning from so few, is no better than random
search here. Evolution finds the cell with the best *validation* accuracy, and with it that cell's regret of {own:.2f}
({regret["evolution"][1]:.2f} after 2,000 queries); random search and NAO, which mostly miss it, are at
{regret["random"][1]:.2f} and {regret["nao"][1]:.2f}. Among the best cells validation accuracy does not tell who is best on
test, so regret cannot fall to 0 for anybody. NAO was trained for 100 epochs a round here, a tenth of the authors', so that
20 searches fit an evening: this says what it does with that, and not what it can do.
"""


def predictor() -> str:
    """The predictor alone."""
    rows = []
    names = (
        ("predictor-nas-bench-201", "NAS-Bench-201"), ("predictor-enas", "ENAS_in (NDS), cells alone"),
        ("predictor-darts", "214 DARTS cells"),
    )  # fmt: skip
    for name, title in names:
        for entry in study(name)["predictor"]:
            rows.append(
                [
                    title, f"{entry['train_size']:,}", f"{entry['held_out']:,}", str(entry["trainings"]),
                    f"{entry['kendall_tau']:.3f} ({entry['low']:.3f} to {entry['high']:.3f})",
                    f"{entry['spearman']:.3f}",
                ]
            )  # fmt: skip
    heads = ["table", "learned from", "held out", "trainings", "Kendall tau, mean (range)", "Spearman"]
    return f"""
## The NAO controller's predictor alone

About the same number of Adam steps for every part, whatever its size.

{table(heads, rows)}

![Kendall tau against training size](results/predictor-nas-bench-201/predictor.svg)

{what_predictor_says()}
"""


def what_predictor_says() -> str:
    """What the predictor's figures mean."""
    bench, enas, darts = (study(f"predictor-{name}")["predictor"] for name in ("nas-bench-201", "enas", "darts"))
    size = one(study("size")["tables"], table="nasbench201")["correlation"][-1]["kendall_tau"]
    first, last = bench[0], bench[-1]
    return f"""
On NAS-Bench-201 {first["train_size"]} genotypes are enough for tau {first["kendall_tau"]:.3f}, which is what ranking by
size alone gives there ({size["value"]:.3f}); {last["train_size"]:,} give {last["kendall_tau"]:.3f}, and more steps were
not tried. The 214 DARTS cells all lie within 1.4 points of accuracy, and still tau is {darts[-2]["kendall_tau"]:.3f} from
{darts[-2]["train_size"]} of them. In ENAS_in width and depth vary beside the cell and decide most of the accuracy, and the
predictor sees the cell alone: it learns nothing there that the range over trainings would not hold
({enas[-1]["kendall_tau"]:.3f} from {enas[-1]["train_size"]}, {enas[-1]["low"]:.3f} to {enas[-1]["high"]:.3f}).
"""


def weights() -> str:
    """The study of slots and of idle momentum."""
    hashed, order, dense = study("slots-hashed"), study("slots-sorted"), study("idle-dense")
    short = {"path": study("idle-path-short"), "dense": study("idle-dense-short")}
    epochs, few = marks(hashed)[-1], marks(short["path"])[-1]

    def row(name, content, sampler):
        at = marks(content)[-1]
        tau = one(content["agreement"], sampler=sampler, epochs=at, figure="kendall_tau")
        return [name, sampler, percent(accuracy(content, sampler, at)), figure(tau), each_seed_of(content, sampler)]

    heads = ["", "sampler", "pairwise accuracy, %", "Kendall tau", "each seed, %"]
    names = ("uniform", "proportional")
    slots = [row(f"slots {rule}", each, s) for s in names for rule, each in (("hashed", hashed), ("sorted", order))]
    many = [row(f"idle momentum {kind}", each, s) for s in names for kind, each in (("path", hashed), ("dense", dense))]
    fewer = [row(f"idle momentum {kind}", each, s) for s in names for kind, each in short.items()]
    return f"""
## F. Which weights an edge trains, and what those do that a step leaves out

The diverse 50 of B and their truth again (two trainings each), C = 8, N = 1, 16 x 16, three supernets of each kind.

### Slots by hash or by sorted order, a pool of {hashed["trained"]:,}

A node's two edges each have a set of weights in the supernet. By the edges' sorted order the first set is trained by
small sources and the second by large ones, very unequally; by a hash of the node either is the first. {epochs} epochs:

{table(heads, slots)}

Hashed less sorted, over all six supernets each: {paired(hashed, order)} points. With {hashed["trained"]:,} architectures
in {epochs} epochs of 62 steps each is drawn about twice, and hardly any order is learned. The hash is no worse and
balances what the method is about, so it is the default (`--slots hashed`).

### Idle momentum

`path`: what a step does not use waits with its momentum. `dense`: it goes on with momentum and weight decay, as in
PyTorch when the authors' runs were made. The same pool of {hashed["trained"]:,}, {epochs} epochs:

{table(heads, many)}

Supernets over just the 50, {few} epochs (about ten updates of a set of weights), their own cosine:

{table(heads, fewer)}

Dense less path, over all six supernets each: {paired(dense, hashed)} points with the pool of {hashed["trained"]:,}, and
{paired(short["dense"], short["path"])} with the 50. The default stays `path`, which is what the description of the method
says; whoever trains few updates a path may try `dense`.
"""


def each_seed_of(content, sampler) -> str:
    """Pairwise accuracy of each supernet of a sampler at its last mark, in percent."""
    (found,) = (part for part in each_seed(content, marks(content)[-1]).split("; ") if part.startswith(f"{sampler} "))
    return found.removeprefix(f"{sampler} ")


def paired(one_study, other_study) -> str:
    """Pairwise accuracy of one study's supernets less another's, mean over samplers and seeds, in points."""
    scores, truths = [], []
    for content in (one_study, other_study):
        by_genotype = sorted(range(len(content["genotypes"])), key=lambda i: content["genotypes"][i]["genotype"])
        truths.append([np.mean(content["genotypes"][i]["truth"]) for i in by_genotype])
        scores.append([[s["scores"][-1][i] for i in by_genotype] for s in content["supernets"]])
    assert truths[0] == truths[1]
    found = compare_rankings({"other": scores[1], "one": scores[0]}, truths[0]).differences["one"]["pairwise_accuracy"]
    return percent({"value": found.value, "low": found.low, "high": found.high}, "+")


COMMIT = (
    "Study A was trained at commit 028ab2d, B-diverse at 9c8391d, and A-long (its three seeds in three processes), B-similar, the controllers and the "
    "predictors at b9283ce; B's stand-alone trainings (crops padded with the mean) were begun with the code of e77375f before it was committed. "
    "B-diverse-own and B-similar-own were trained at b6877f5, with `--slots sorted --pad-with mean` since B was made so; the slots "
    "and idle momentum at 189eff7, with the mean truth of B as a CSV where the commands name its folder. "
    "Figures and pictures were made by the code that this page stands with."
)


def again() -> str:
    """The commands behind every figure."""
    return f"""
## Run it again

`cifar10.npz` holds `x_train`, `y_train`, `x_test`, `y_test` of CIFAR-10 (here made from JPEGs; `--dataset cifar10` takes
the official archives). [tables.md](tables.md) says where the tables are from and how their CSV is made. {COMMIT} The defaults have changed since:
`--marks along --slots sorted --pad-with mean` is how A, A-long and B were made.

```console
bnao study agreement nasbench201_oneshot.csv --truth-column standalone_test_200 --score-column oneshot_supernet --score-column fewshot_supernet --out agreement
bnao study ranking --preset cifar10-small --space nas-bench-201 --channels 16 --cells 1 --truth nasbench201.csv --truth-column c10_test_200 --genotypes 500 --trained 15625 --samplers uniform,proportional --seeds 3 --epochs 2,4,8 --data cifar10.npz --image-size 32 --train-images 10600 --dev-share 0.05 --dev-images 250 --pad 4 --drop-path-keep 1 --marks along --slots sorted --pad-with mean --threads 1 --out A
bnao study agreement nasbench201_oneshot.csv --truth-column standalone_test_200 --score-column oneshot_supernet --space nas-bench-201 --among A --out A-published
bnao study ranking --preset cifar10-small --space nas-bench-201 --channels 8 --cells 1 --truth nasbench201.csv --truth-column c10_test_200 --genotypes 500 --trained 15625 --samplers uniform,proportional,proportional:3 --seeds {study("A-long")["config"]["seeds"]} --epochs 8,16,32 --data cifar10.npz --image-size 16 --train-images 10600 --dev-share 0.05 --dev-images 250 --pad 2 --drop-path-keep 1 --marks along --slots sorted --pad-with mean --threads 1 --out A-long
bnao study ranking --preset cifar10-small --sizes diverse --data cifar10.npz --epochs 3,5,10,20,30 --samplers {study("B-diverse")["config"]["samplers"]} --marks along --slots sorted --pad-with mean --threads 1 --out B-diverse
bnao study ranking --preset cifar10-small --sizes similar --data cifar10.npz --epochs 3,5,10,20,30 --repeats {study("B-similar")["config"]["repeats"]} --marks along --slots sorted --pad-with mean --threads 1 --out B-similar
bnao study ranking --preset cifar10-small --truth B-diverse --epochs 5 --slots sorted --pad-with mean --data cifar10.npz --threads 1 --out B-diverse-own-5
bnao study ranking --preset cifar10-small --truth B-diverse --epochs 10 --slots sorted --pad-with mean --data cifar10.npz --threads 1 --out B-diverse-own-10
bnao study ranking --preset cifar10-small --truth B-similar --epochs 5 --slots sorted --pad-with mean --data cifar10.npz --threads 1 --out B-similar-own-5
bnao study ranking --preset cifar10-small --truth B-diverse --trained 1000 --epochs 30 --slots hashed --pad-with mean --data cifar10.npz --threads 1 --out slots-hashed
bnao study ranking --preset cifar10-small --truth B-diverse --trained 1000 --epochs 30 --slots sorted --pad-with mean --data cifar10.npz --threads 1 --out slots-sorted
bnao study ranking --preset cifar10-small --truth B-diverse --trained 1000 --epochs 30 --idle-momentum dense --pad-with mean --data cifar10.npz --threads 1 --out idle-dense
bnao study ranking --preset cifar10-small --truth B-diverse --epochs 5 --pad-with mean --data cifar10.npz --threads 1 --out idle-path-short
bnao study ranking --preset cifar10-small --truth B-diverse --epochs 5 --idle-momentum dense --pad-with mean --data cifar10.npz --threads 1 --out idle-dense-short
bnao study size ENAS_in.csv NASNet_in.csv PNAS_in.csv Amoeba_in.csv DARTS_in.csv DARTS_fix-w-d_in.csv darts_214.csv nasbench201.csv --out size
bnao study controllers --table nasbench201.csv --space nas-bench-201 --score-column c10_valid_200 --test-column c10_test_200_half --swaps 1 --epochs 100 --threads 1 --out controllers
bnao study predictor --space nas-bench-201 --table nasbench201.csv --score-column c10_valid_200 --swaps 1 --steps 1000 --seeds 3 --threads 1 --out predictor-nas-bench-201
bnao study predictor --space nao --table ENAS_in.csv --score-column best_test_acc --sizes 50,100 --steps 1000 --seeds 3 --threads 1 --out predictor-enas
bnao study predictor --space darts --table darts_214.csv --score-column test_best --sizes 50,100,150 --steps 1000 --seeds 3 --threads 1 --out predictor-darts
```

`bnao study draw FOLDER` draws a study's pictures again from its file alone, and `python docs/make_results.py` writes
this page from the files.
"""
