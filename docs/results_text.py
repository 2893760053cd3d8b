"""The words of docs/results.md, with every number out of a study.json; see make_results.py."""

from __future__ import annotations

from make_results import (
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


def page() -> str:
    """The whole page."""
    parts = (headlines(), checked(), independent(), protocol(), premise(), contest(), predictor(), again())
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
    last_a, last_b = marks(a)[-1], marks(diverse)[-1]
    first_a, first_b = marks(a)[0], marks(diverse)[0]
    lines = [
        f"- **Independent truth (NAS-Bench-201, {len(a['genotypes'])} cells):** after {last_a} epochs pairwise accuracy "
        f"is {percent(accuracy(a, 'uniform', last_a))} % under uniform and "
        f"{percent(accuracy(a, 'proportional', last_a))} % under proportional sampling; the difference is "
        f"{percent(difference(a, last_a), '+')} points ({verdict(difference(a, last_a))}), after {first_a} epochs "
        f"{percent(difference(a, first_a), '+')} ({verdict(difference(a, first_a))}).",
        f"- **The paper's protocol, scaled down (50 genotypes of `nao`):** of diverse sizes the difference is "
        f"{percent(difference(diverse, first_b), '+')} points after {first_b} epochs "
        f"({verdict(difference(diverse, first_b))}) and {percent(difference(diverse, last_b), '+')} after {last_b} "
        f"({verdict(difference(diverse, last_b))}); of similar sizes {percent(difference(similar, last_b), '+')} "
        f"({verdict(difference(similar, last_b))}). The paper has +7 points after 5 epochs and +2 after 50.",
        "- **The premise** (small architectures lead early, large ones late) holds in every one of six tables of "
        "trainings that others made.",
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
            {"oneshot_supernet": "one supernet, uniform sampling", "fewshot_supernet": "five sub-supernets"}[
                column["column"]
            ],
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
and the ranks an architecture gains under one-shot scores: it is negative, so the published supernet, sampled uniformly,
favours small cells, as the balanced paper says of one-shot methods. In draws of 50, as the paper's Tables 2, 3 and 6
have them, pairwise accuracy has a standard deviation of {100 * shared["deviation_of_draws"]:.1f} points from draw to
draw: differences of a few points between two draws of 50 say nothing; only paired ones do.
"""


def independent() -> str:
    """Study A."""
    content = study("A")
    last = marks(content)[-1]
    published = study("A-published")["columns"][0]
    return f"""
## A. Independent truth: NAS-Bench-201

A supernet of the space `nas-bench-201` (C = 16, N = 1, 32 x 32 images) is trained on {content["data"].split(": ")[1]}
(scored on the dev images, the same for all), drawing from all {content["trained"]:,} cells, for {last} epochs of
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

{TEXT_A}
"""


TEXT_A = ""
TEXT_B = ""
WHY = ""


def protocol() -> str:
    """Study B."""
    diverse, similar = study("B-diverse"), study("B-similar")
    first, last = marks(diverse)[0], marks(diverse)[-1]
    rows = []
    for epochs in sorted({*marks(diverse), *PAPER_EPOCHS}):
        row = [str(epochs)]
        for sampler in ("uniform", "proportional"):
            row.append(str(PAPER[sampler][PAPER_EPOCHS.index(epochs)]) if epochs in PAPER_EPOCHS else "")
        for sampler in ("uniform", "proportional"):
            row.append(percent(accuracy(diverse, sampler, epochs)) if epochs in marks(diverse) else "")
        row.append(percent(difference(diverse, epochs), "+") if epochs in marks(diverse) else "")
        rows.append(row)
    heads = ["epochs", "paper, uniform", "paper, proportional", "here, uniform", "here, proportional", "difference"]
    at = 5 if 5 in marks(diverse) else first
    sizes = [
        [
            "diverse",
            str(PAPER_DIVERSE),
            percent(accuracy(diverse, "uniform", at)),
            spread(diverse),
            accuracies(diverse),
        ],
        [
            "similar",
            str(PAPER_SIMILAR),
            percent(accuracy(similar, "uniform", at)),
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
on), three under each sampler, scored along the way. The paper has 50,000 images of 32 x 32 and its search's network.

How far can anything rank these? Two seeds of the stand-alone training of the diverse 50 agree with each other on
{percent(reliability)} % of the pairs (Kendall {figure(tau)}); the truth below is the mean of the two.

### Tables 2 and 6: pairwise accuracy by epochs, %

{table(heads, rows)}

### Table 3: sizes, after {at} epochs of uniform sampling, pairwise accuracy in %

{table(["sizes", "paper", "here", "sizes here", "accuracies here"], sizes)}

### All figures, 50 of diverse sizes

{ranking_table(diverse)}

{difference_table(diverse)}

Each supernet after {last} epochs, %: {each_seed(diverse, last)}. Size alone has Kendall {figure(diverse["size_alone"])}.

![pairwise accuracy along the epochs, diverse sizes](results/B-diverse/accuracy.svg)
![one-shot against stand-alone accuracy, diverse sizes](results/B-diverse/scores.svg)
![updates against size](results/B-diverse/updates.svg)
![ranks gained against size](results/B-diverse/ranks.svg)

### All figures, 50 of similar sizes

{ranking_table(similar)}

{difference_table(similar)}

Each supernet after {last} epochs, %: {each_seed(similar, last)}. Size alone has Kendall {figure(similar["size_alone"])}.

![pairwise accuracy along the epochs, similar sizes](results/B-similar/accuracy.svg)

{TEXT_B}
{WHY}
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

{TEXT_CONTEST}
"""


TEXT_CONTEST = ""


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

{TEXT_PREDICTOR}
"""


TEXT_PREDICTOR = ""
COMMIT = ""


def again() -> str:
    """The commands behind every figure."""
    return f"""
## Run it again

`cifar10.npz` holds `x_train`, `y_train`, `x_test`, `y_test` of CIFAR-10 (here made from JPEGs; `--dataset cifar10` takes
the official archives). The tables are those named above. {COMMIT}

```console
bnao study agreement nasbench201_oneshot.csv --truth-column standalone_test_200 --score-column oneshot_supernet --score-column fewshot_supernet --out agreement
bnao study ranking --preset cifar10-small --space nas-bench-201 --channels 16 --cells 1 --truth nasbench201.csv --truth-column c10_test_200 --genotypes 500 --trained 15625 --samplers uniform,proportional --seeds 3 --epochs 2,4,8 --data cifar10.npz --image-size 32 --train-images 10600 --dev-share 0.05 --dev-images 250 --pad 4 --drop-path-keep 1 --threads 1 --out A
bnao study agreement nasbench201_oneshot.csv --truth-column standalone_test_200 --score-column oneshot_supernet --space nas-bench-201 --among A --out A-published
bnao study ranking --preset cifar10-small --sizes diverse --data cifar10.npz --epochs 3,5,10,20,30 --samplers {study("B-diverse")["config"]["samplers"]} --threads 1 --out B-diverse
bnao study ranking --preset cifar10-small --sizes similar --data cifar10.npz --epochs 3,5,10,20,30 --repeats {study("B-similar")["config"]["repeats"]} --threads 1 --out B-similar
bnao study size ENAS_in.csv NASNet_in.csv PNAS_in.csv Amoeba_in.csv DARTS_in.csv DARTS_fix-w-d_in.csv darts_214.csv nasbench201.csv --out size
bnao study controllers --table nasbench201.csv --space nas-bench-201 --score-column c10_valid_200 --test-column c10_test_200_half --swaps 1 --epochs 100 --threads 1 --out controllers
bnao study predictor --space nas-bench-201 --table nasbench201.csv --score-column c10_valid_200 --swaps 1 --steps 2000 --seeds 3 --threads 1 --out predictor-nas-bench-201
bnao study predictor --space nao --table ENAS_in.csv --score-column best_test_acc --sizes 50,100 --steps 2000 --seeds 3 --threads 1 --out predictor-enas
bnao study predictor --space darts --table darts_214.csv --score-column test_best --sizes 50,100,150 --steps 2000 --seeds 3 --threads 1 --out predictor-darts
```

`bnao study draw FOLDER` draws a study's pictures again from its file alone, and `python docs/make_results.py` writes
this page from the files.
"""


__all__ = ["page", "samplers"]
