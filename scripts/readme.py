"""Rebuild what README.md, logs/README.md and weights/README.md take from logs/: python scripts/readme.py

Every number in the results stands between markers that this script fills; tests/test_readme.py compares. With the words
`address https://github.com/owner/name` it writes the repository's address into README and notebooks instead.
"""

import base64
import json
import re
import statistics
import sys

from notebooks import (
    CLASSIFICATION,
    EPOCH_WORK,
    NOTEBOOKS,
    PRETRAINING_WORK,
    PUBLISHED,
    ROOT,
    best_rate,
    read,
    read_csv,
    sha256,
    short,
    summary,
    write,
    write_text,
)
from release import fingerprint

LOGS = ROOT / "logs"
ROWS = {  # the predecessor's linear probes after 100 epochs, one run each, test set, in %
    "mae-3x1-mask60-100ep": 44.25,
    "mae-3x1-mask75-100ep": 46.84,
    "mae-6x2-mask75-100ep": 48.16,
    "mae-9x3-mask75-100ep": PUBLISHED,
}
BASE = "mae-6x2-mask75-100ep"
HOG = "mae-6x2-mask75-hog-50ep"  # of the same sizes; the predecessor has no such row
DEEP = "mae-9x3-mask75-100ep"
DEEP_HOG = "mae-9x3-mask75-hog-100ep"
STARTS = {BASE: "", HOG: " from histograms", DEEP: ", 9 layers"}  # with all labels
TARGETS = {None: "pixels", "hog": "histograms of oriented gradients"}  # by variant, a key of ablations/variants.py
OTHER_LOSS = ("target", "mask ratio", "patch size")  # factors whose validation loss is not that of the base
JUDGED = {"probe": "linear probe", "blocks": "all blocks", "neighbours": "neighbours"}  # columns of logs/ablations.csv
METHODS = {  # of logs/labels.csv
    "scratch": "from scratch",
    "probe, untrained": "linear probe, untrained",
    "probe": "linear probe, pre-trained",
    "fine-tuned": "fine-tuned",
}
BLOCKS = {f"fine-tuned, last {number}": f"the last {number}" if number else "none" for number in (0, 1, 2, 4)}
BLOCKS["fine-tuned"] = "all 6, and what embeds the patches"  # methods of the same table: which blocks learn
CELLS = {  # of logs/elpv.csv: the encoder's weights, and what learns
    ("untrained", "all"): "from scratch",
    ("untrained", "probe"): "linear probe, untrained",
    ("pre-trained", "probe"): "linear probe, pre-trained",
    ("pre-trained", "all"): "fine-tuned",
}
TESTS = ("probe, final tokens", "probe, all blocks", "neighbours")


def log(run, name):
    """logs/<run>/<name>.json as a dict."""
    return read(LOGS / run / f"{name}.json")


def rows_of(name):
    """The rows of logs/<name>.csv as dicts; none if there is no such file."""
    return read_csv(LOGS / f"{name}.csv")


def released(runs=(*ROWS, HOG, DEEP_HOG)):
    """Those of the runs that have been released, and probed since."""
    probed = [run for run in runs if (LOGS / run / "probe.json").exists()]
    return [run for run in probed if log(run, "probe")["sha256"] == log(run, "card")["sha256"]["encoder.keras"]]


def error(run):
    """The loss at the end of a run, if it is that of pixels; others cannot be compared with it."""
    card = log(run, "card")
    return "" if "variant" in card["settings"] else card["loss"]["loss"]


def change(settings):
    """What a run has in place of the notebook's, as an addition to its name; empty for a run of the notebook."""
    variant = settings.get("variant")
    told = f"predicts {TARGETS[variant]}" if variant in TARGETS else f"`{variant}`"
    return f", {told}" if variant else ""


def table(rows):
    """Markdown of a table; the first row is its head."""
    lines = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def scores(run, tests=TESTS):
    """For each test the accuracy in %, and the untrained encoder's in brackets."""
    found = log(run, "probe")["test"]
    return [f"{found[t]['trained']['accuracy']:.2f} ({found[t]['untrained']['accuracy']:.2f})" for t in tests]


def unreleased(run):
    """A released run with other seeds or fewer images, as rows of logs/seeds.csv: those with the settings that it has now."""
    rows = [row for row in rows_of("seeds") if row["run"] == run]
    settings = {n: log(run, "settings") | {"train_images": int(n)} for n in {row["train_images"] for row in rows}}
    return [row for row in rows if row["settings"] == fingerprint(settings[row["train_images"]])]


def seeds(run):
    """Those of the rows that differ in their seed alone."""
    images = log(run, "settings")["train_images"]
    return [row for row in unreleased(run) if int(row["train_images"]) == images]


def accuracies(run, test, state="trained"):
    """In %, of all seeds of a released run; state: trained or untrained."""
    column = test if state == "trained" else f"{test}, {state}"
    return [log(run, "probe")["test"][test][state]["accuracy"], *(float(row[column]) for row in seeds(run))]


def means(run, test):
    """Mean over all seeds, with the spread (standard deviation) if there are several, and the untrained encoders' in brackets."""
    told = []
    for state in ("trained", "untrained"):
        values = accuracies(run, test, state)
        spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
        told.append(f"{statistics.mean(values):.2f}{spread}")
    return f"**{told[0]}** ({told[1]})" if test == TESTS[0] else f"{told[0]} ({told[1]})"


def every_seed():
    """Each seed of the released runs by itself, and those with fewer images."""
    lines = [["run", "images", "seed", *(f"{test} (untrained)" for test in TESTS), "training error", "commit"]]
    for run in released():
        card, others = log(run, "card"), unreleased(run)
        settings = card["settings"]
        mine = [
            f"{settings['train_images']:,}",
            settings["seed"],
            *scores(run),
            error(run),
            f"`{short(card['commit'])}`",
        ]
        lines += [[f"`{run}`", *mine]] if others else []
        for row in others:
            told = [f"{float(row[test]):.2f} ({float(row[f'{test}, untrained']):.2f})" for test in TESTS]
            loss = row["loss"] if error(run) else ""
            images = f"{int(row['train_images']):,}"
            lines.append([f"`{run}`", images, row["seed"], *told, loss, f"`{short(row['commit'])}`"])
    return table(lines) if len(lines) > 1 else "None yet: each row is one run."


def quickstart():
    """The last line that `make quickstart` printed."""
    return "```\n" + summary(LOGS / "quickstart") + "\n```"


def results():
    """The published table with ours beside it; in brackets the untrained encoder of the same depth."""
    rows = [
        ["layers", "mask", "epochs", "published", "**linear probe** (untrained)", "all blocks (untrained)", "seeds"]
    ]
    for run in released():
        s = log(run, "card")["settings"]
        name = f"[{s['encoder_layers']} & {s['decoder_layers']}](weights/{run}){change(s)}"
        ours = [means(run, test) for test in TESTS[:2]]
        rows.append([name, f"{s['mask_ratio']:.2f}", s["epochs"], ROWS.get(run, ""), *ours, 1 + len(seeds(run))])
    return table(rows)


def details():
    """All tests of each released encoder, and what training it took."""
    rows = [["run", *(f"{test} (untrained)" for test in TESTS), "encoder parameters", "training error", "training"]]
    for run in released():
        card = log(run, "card")
        minutes = round(card["seconds"] / 60)
        time = f"{minutes // 60}:{minutes % 60:02} h, {card['hardware']}"
        size = f"{card['parameters']['encoder']:,}"
        rows.append([f"[`{run}`]({run})", *scores(run), size, error(run), time])
    return table(rows)


def weights():
    """What there is to download."""
    rows = [["folder", "what", "linear probe (untrained)", "all blocks (untrained)", "MB, all files"]]
    for run in released(sorted(path.parent.name for path in LOGS.glob("*/probe.json"))):
        s = log(run, "card")["settings"]
        what = f"masked autoencoder, {s['encoder_layers']} & {s['decoder_layers']} layers, mask {s['mask_ratio']:.2f}, {s['epochs']} epochs{change(s)}"
        rows.append([f"[`{run}`]({run})", what, *scores(run, TESTS[:2]), megabytes(run)])
    for run in classifiers():
        card, score = log(run, "card"), log(run, "results")["accuracy"]
        start = "from scratch" if card["start"] == "random weights" else "fine-tuned"
        optimiser = "Muon" if log(run, "settings").get("muon") else "AdamW"
        what = f"classifier, {card['layers']} layers, {start}, {optimiser}, {card['epochs']} epochs: {score:.2f} % of test images right"
        rows.append([f"[`{run}`]({run})", what, "", "", megabytes(run)])
    return table(rows)


def classifiers():
    """The names of the released classifiers."""
    return sorted(path.parent.name for path in (ROOT / "weights").glob("*/classifier.keras"))


def megabytes(run):
    """Size of the files in weights/<run>/, in millions of bytes."""
    return f"{sum(path.stat().st_size for path in (ROOT / 'weights' / run).glob('*.keras')) / 1e6:.1f}"


def ablations():
    """The tries with a seed that the base has, too, as in logs/ablations.csv: {name: [a row for each seed, ...]}."""
    rows = rows_of("ablations")
    seeds = {row["seed"] for row in rows if row["name"] == "base"}
    rows = [row for row in rows if row["seed"] in seeds]
    return {name: [row for row in rows if row["name"] == name] for name in dict.fromkeys(row["name"] for row in rows)}


def mean(rows, column):
    """Over the seeds of a try."""
    return statistics.mean(float(row[column]) for row in rows)


def gain(name, column):
    """How far a try's mean is from the base's; not paired, for the same seed does not make two tries alike."""
    tries = ablations()
    return mean(tries[name], column) - mean(tries["base"], column)


def variants():
    """Every try: means over its seeds, and in brackets how far they are from the base's."""
    timed = log("bench", "cpu")["contenders"]
    speeds = {name: f"{row['ratio'] / timed['base']['ratio']:.2f}" for name, row in timed.items()}
    speeds["paper"] = speeds.get("this project, TensorFlow", "")
    lines = [["try", "what", *JUDGED.values(), "untrained probe", "validation loss", "speed", "seeds"]]
    for name, rows in ablations().items():
        factor, value = rows[0]["factor"], rows[0]["value"]
        scores = [f"{mean(rows, c):.2f}" + (f" ({gain(name, c):+.2f})" if name != "base" else "") for c in JUDGED]
        other_loss = factor in OTHER_LOSS or name == "predecessor-target"
        loss = "" if other_loss else f"{mean(rows, 'validation_loss'):.4f}"
        lines.append([f"`{name}`", f"{factor}: {value}" if value else "the notebook as it is", *scores])
        lines[-1] += [f"{mean(rows, 'untrained_probe'):.2f}", loss, speeds.get(name, ""), len(rows)]
    return table(lines)


def chance():
    """What runs of nearly `paper`'s settings had, by seed."""
    rows = [row for row in rows_of("training") if row["run"].startswith("token-fused")]
    told = " and ".join(f"{float(row['validation_probe']):.2f} %" for row in rows)
    return f"Two earlier runs of nearly `paper`'s settings (AdamW's epsilon was 1e-7) had linear probes of {told}."


def long():
    """The same questions after longer training, on the test images, which decided nothing."""
    tests = [f"{heading} (untrained)" for heading in JUDGED.values()]
    lines = [["optimiser", "decoder reads", "target", "epochs", *tests, "training error", "seed"]]
    for row in rows_of("ablations-100ep"):
        found = [f"{float(row[c]):.2f} ({float(row[f'untrained_{c}']):.2f})" for c in JUDGED]
        how = row["optimiser"], row["decoder_reads"], TARGETS[None], row["epochs"]
        lines.append([*how, *found, row["loss"], row["seed"]])
    for run in released([BASE, HOG]):
        card = log(run, "card")
        how = "Muon", "all blocks", TARGETS[card["settings"].get("variant")], card["epochs"]
        lines.append([*how, *scores(run), error(run), card["settings"]["seed"]])
    return table(lines)


def figure():
    """Draw how far each try is from the base; the file says from which table it was drawn."""
    import matplotlib.pyplot as plt

    names = [name for name, rows in ablations().items() if rows[0]["factor"] not in ("base", "epochs")]
    names.sort(key=lambda name: statistics.mean(gain(name, c) for c in JUDGED))
    axis = plt.subplots(figsize=(8, 1 + 0.3 * len(names)), layout="constrained")[1]
    for (column, heading), marker in zip(JUDGED.items(), "os^"):
        axis.plot([gain(name, column) for name in names], range(len(names)), marker, label=heading)
    axis.axvline(0, color="grey", linewidth=1)
    axis.set(
        yticks=range(len(names)),
        yticklabels=names,
        xlabel="percentage points above the base, on 5,000 held-out images",
    )
    axis.grid(axis="y", alpha=0.3)
    axis.legend()
    axis.figure.savefig(LOGS / "ablations.png", dpi=100, metadata={"Description": digest()})


def digest(table="ablations.csv"):
    """SHA-256 of the table that a figure shows."""
    return sha256(LOGS / table)


def returns():
    """What more epochs and more layers bring: {panel: {x: (row of scores, row of the untrained encoder's)}}. The epochs are
    those of the tries with seed 0, on held-out images; the layers those of the released rows with mask 0.75, on test images."""
    tries = [row for row in rows_of("ablations") if row["factor"] in ("base", "epochs") and row["seed"] == "0"]
    epochs, layers = {}, {}
    for row in sorted(tries, key=lambda row: int(row["epochs"])):
        trained, untrained = ({c: float(row[state + c]) for c in JUDGED} for state in ("", "untrained_"))
        epochs[int(row["epochs"])] = trained, untrained
    for run in ROWS:
        settings = log(run, "settings")
        if settings["mask_ratio"] == 0.75:
            found = [log(run, "probe")["test"][test] for test in TESTS]
            layers[settings["encoder_layers"]] = [
                {c: test[state]["accuracy"] for c, test in zip(JUDGED, found)} for state in ("trained", "untrained")
            ]
    return {"epochs": epochs, "layers": layers}


def returns_figure():
    """Draw the same; the file says which numbers it shows."""
    import matplotlib.pyplot as plt

    found = returns()
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained", sharey=True)
    for axis, points in zip(axes, found.values()):
        for (column, heading), marker, color in zip(JUDGED.items(), "os^", ("C0", "C1", "C2")):
            for state, line, label in ((0, "-", heading), (1, ":", f"{heading}, untrained")):
                scores = [point[state][column] for point in points.values()]
                axis.plot(list(points), scores, color + marker + line, markersize=5 - 2 * state, label=label)
        axis.grid(alpha=0.3)
    axes[0].set(xscale="log", xticks=list(found["epochs"]), xlabel="epochs of a try with 6 & 2 layers")
    axes[0].set(
        ylabel="% of the images right", title="5,000 held-out training images", xticklabels=list(found["epochs"])
    )
    axes[0].minorticks_off()
    axes[1].set(xticks=list(found["layers"]), xlabel="encoder's layers, 100 epochs", title="10,000 test images")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
    figure.savefig(LOGS / "returns.png", dpi=100, metadata={"Description": json.dumps(found)})
    plt.close(figure)


def bench():
    """Speeds on this project's side and PyTorch's, in one run, and the ratios of earlier runs on other machines."""
    record = log("bench", "cpu")
    lines = [["6 & 2 layers, mask 0.75, batch 256", "images/s", "ratio", "seconds to the first step"]]
    for name, row in compared(record).items():
        lines.append([name, f"{row['images_per_second']:,}", f"{row['ratio']:.2f}", row["seconds to the first step"]])
    others = [read(path) for path in sorted((LOGS / "bench").glob("cpu-*.json"), reverse=True)]
    shared = [name for name in compared(record) if all(name in compared(other) for other in others)]
    machines = [
        ["two cores of", "commit", "ours on TensorFlow, images/s", *(name.partition(", ")[2] for name in shared[1:])]
    ]
    for other in (record, *others):
        rows = compared(other)
        ratios = [f"{rows[name]['ratio']:.2f}" for name in shared[1:]]
        machines.append(
            [processor(other), f"`{short(other['commit'])}`", f"{rows[shared[0]]['images_per_second']:,}", *ratios]
        )
    return f"{table(lines)}\n\nThe ratios on this machine, the first line, and on others before:\n\n{table(machines)}"


def processor(record):
    """What stands in brackets in a log's hardware; old logs name the architecture only."""
    name = record["hardware"].split("(", 1)[1].rsplit(")", 1)[0]
    return "not named" if name == "x86_64" else name


def compared(record):
    """Of a bench's contenders the projects, {name: row}; the others are parts left out, or tries."""
    return {name: row for name, row in record["contenders"].items() if "," in name}


def split():
    """Where the time of a step goes, by leaving parts out."""
    record = log("bench", "cpu")
    rows = record["contenders"].items()
    shares = {name.removeprefix("without "): 1 - 1 / row["ratio"] for name, row in rows if name.startswith("without")}
    told = ", ".join(f"{part} {share:.0%}" for part, share in shares.items())
    speed = next(row["images_per_second"] for _, row in rows) * record["GFLOP an image"]
    return (
        f"What leaving out one part saves of our step on TensorFlow: {told}. The matrix products of a step come to {speed:.0f} GFLOP/s over its "
        f"whole time; one large product alone reaches {record['GFLOP/s of a large matrix product']} on the same machine."
    )


def of_encoder(rows, run=BASE):
    """Those of the rows that were measured with this released encoder, or its architecture."""
    encoder = read(ROOT / "weights" / run / "card.json")["sha256"]["encoder.keras"]
    return [row for row in rows if encoder.startswith(row["encoder"])]


def few_labels(methods=METHODS, run=BASE):
    """{(labels a class, method): accuracies in % of the draws} of logs/labels.csv, on the test images, with the rate that was
    best on the held-out ones; of the numbers of labels for which all `methods` are measured with the encoder of this run.
    Runs that were longer than those that chose the rate do not count."""
    groups = {}
    for row in of_encoder(rows_of("labels"), run):
        if row["labels_per_class"] != "5000":  # those are runs of several lengths
            groups.setdefault((int(row["labels_per_class"]), row["method"]), []).append(row)
    found = {}
    for key, group in groups.items():
        tries = [row for row in group if row["held_out"] != "0"]
        wanted = best_rate(tries), tries[0]["epochs"]
        tested = [row for row in group if row["held_out"] == "0"]
        chosen = [row for row in tested if (row["learning_rate"], row["epochs"]) == wanted]
        found[key] = [float(row["accuracy"]) for row in sorted(chosen, key=lambda row: row["draw"])]
    whole = {number for number, _ in found if all(len(found.get((number, method), [])) > 2 for method in methods)}
    return {key: found[key] for key in sorted(found) if key[0] in whole and key[1] in methods}


def labels():
    """What few labels are worth: mean and standard deviation over the draws."""
    found = few_labels()
    lines = [["labels a class", *METHODS.values(), "draws"]]
    for number in dict.fromkeys(number for number, _ in found):
        draws = [found[number, method] for method in METHODS]
        lines.append([number, *(spread(accuracies, 2) for accuracies in draws), len(draws[0])])
    return table(lines)


def recipe(method, run=BASE):
    """A method of logs/labels.csv in words, with its optimiser, and with the encoder if that is not the usual one."""
    start, _, optimiser = method.partition(", ")
    return f"{METHODS[start]}{STARTS[run]}, {optimiser or 'Muon'}"


def with_all_labels():
    """The rows of logs/labels.csv with all labels, each with the released encoder that it started from or would have."""
    rows = [row for row in rows_of("labels") if row["labels_per_class"] == "5000"]
    return [(row, run) for run in STARTS for row in of_encoder(rows, run)]


def all_labels():
    """What pre-training is worth when all images have labels: one run each, at equal epochs and at equal work."""
    files = {}  # by method, epochs, learning rate, encoder and accuracy
    for name in classifiers():
        s = log(name, "settings")
        if s.get("labels_per_class") == 5000 and s["blend"]:
            method = ("fine-tuned" if s["pretrained"] else "scratch") + ", AdamW" * (not s.get("muon"))
            key = method, s["epochs"], s["learning_rate"], s["encoder"].split("/")[-1], log(name, "results")["accuracy"]
            files[key] = f"[weights](../weights/{name})"
    lines = [["start", "epochs with labels", "work, in epochs with 6 layers", "learning rate", "accuracy", ""]]
    tested = [(row, run) for row, run in with_all_labels() if row["held_out"] == "0"]
    for row, run in sorted(tested, key=lambda pair: ("AdamW" in pair[0]["method"], int(pair[0]["epochs"]))):
        method, epochs = row["method"], int(row["epochs"])
        work = round((epochs + PRETRAINING_WORK[run] * method.startswith("fine-tuned")) * EPOCH_WORK.get(run, 1))
        told = recipe(method, run), epochs, work, row["learning_rate"], f"{float(row['accuracy']):.2f}"
        key = method, epochs, float(row["learning_rate"]), run, float(row["accuracy"])
        lines.append([*told, files.get(key, "")])
    return table(lines)


def all_labels_tries():
    """What chose the learning rates of these runs: accuracy on held-out images after a few epochs."""
    tries = {
        (recipe(row["method"], run), row["learning_rate"]): f"{float(row['accuracy']):.2f}"
        for row, run in with_all_labels()
        if row["held_out"] != "0"
    }
    rates = sorted({rate for _, rate in tries}, key=float)
    lines = [["start · learning rate", *rates]]
    for way in dict.fromkeys(way for way, _ in tries):
        lines.append([way, *(tries.get((way, rate), "") for rate in rates)])
    return table(lines)


def tuned_blocks():
    """What fine-tuning only some of the blocks brings (paper, figure 9), with 50 labels a class: mean and standard deviation."""
    lines = [["blocks that learn", "accuracy", "draws"]]
    for method, told in BLOCKS.items():
        draws = few_labels([method]).get((50, method))
        lines += [[told, spread(draws, 2), len(draws)]] if draws else []
    return table(lines)


def two_optimisers():
    """Few labels with AdamW alone and with Muon: mean and standard deviation over the draws, as far as both are measured."""
    lines = [["labels a class", "start", "blocks that learn", "AdamW", "Muon"]]
    for number in (10, 50):
        for method in ("scratch", *reversed(BLOCKS)):
            draws = [few_labels([way]).get((number, way)) for way in (f"{method}, AdamW", method)]
            if all(draws):
                start, blocks = method.partition(", last")[0], BLOCKS.get(method, BLOCKS["fine-tuned"])
                lines.append([number, METHODS[start], blocks, *(spread(found, 2) for found in draws)])
    return table(lines)


def two_encoders():
    """Few labels, with AdamW, for the encoder that predicts histograms, beside the one that predicts pixels and random weights."""
    lines = [["labels a class", "what learns", "random weights", "pixels, 100 epochs", f"{TARGETS['hog']}, 50 epochs"]]
    random = {"probe": "probe, untrained", "fine-tuned, AdamW": "scratch, AdamW"}
    learns = {"probe": "a linear layer", "fine-tuned, last 1, AdamW": "that and the last block"}
    learns["fine-tuned, AdamW"] = "everything"
    for number in (10, 50):
        for method, told in learns.items():
            runs = few_labels([random.get(method)]), few_labels([method]), few_labels([method], HOG)
            draws = [run.get((number, way)) for run, way in zip(runs, (random.get(method), method, method))]
            if draws[2]:
                lines.append([number, told, *(spread(found, 2) if found else "" for found in draws)])
    return table(lines)


def corruptions():
    """{model: {corruption: accuracy in %}} of logs/corruptions.csv; "none" are the test images as they are."""
    rows = {row["model"]: row for row in rows_of("corruptions")}
    other = "model weights hardware keras commit".split()
    return {
        model: {name: float(value) for name, value in rows[model].items() if name not in other}
        for model in METHODS
        if model in rows
    }


def spread(values, digits=1):
    """Mean and standard deviation of values in %, or the one value there is."""
    deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{deviation}"


def robustness():
    """What corruptions of the test images cost, on average."""
    lines = [["model", "test images", "corrupted, mean of 15", "kept"]]
    for model, (clean, *others) in ((model, found.values()) for model, found in corruptions().items()):
        mean = statistics.mean(others)
        kept = 100 * (mean - 10) / (clean - 10)  # guessing has 10
        lines.append([METHODS[model], *(f"{value:.1f}" for value in (clean, mean, kept))])
    return table(lines)


def each_corruption():
    """The same for each corruption."""
    found = corruptions()
    lines = [["corruption", *(METHODS[model] for model in found)]]
    lines += [[name, *(f"{row[name]:.1f}" for row in found.values())] for name in found["probe"]]
    return table(lines)


def longer(method="scratch"):
    """{labels a class: accuracies in % of the draws} of a method's longest runs, where there are shorter ones, too."""
    runs = {}  # {labels a class: {epochs: accuracies}}
    for row in of_encoder(rows_of("labels")):
        if (row["held_out"], row["method"]) == ("0", method):
            lengths = runs.setdefault(int(row["labels_per_class"]), {})
            lengths.setdefault(int(row["epochs"]), []).append(float(row["accuracy"]))
    return {number: runs[number][max(runs[number])] for number in sorted(runs) if len(runs[number]) > 1}


def labels_lines():
    """The lines of the figure: {heading: {labels a class: accuracies in % of the draws}}. With all labels it is one run each,
    with as many epochs from both starts, and the probes are those of the released encoder."""
    found = few_labels()
    rows = [row for row, run in with_all_labels() if run == BASE and (row["held_out"], row["epochs"]) == ("0", "20")]
    found |= {(5000, row["method"]): [float(row["accuracy"])] for row in rows}
    final = log(BASE, "probe")["test"][TESTS[0]]
    found |= {
        (5000, "probe"): [final["trained"]["accuracy"]],
        (5000, "probe, untrained"): [final["untrained"]["accuracy"]],
    }
    lines = {heading: {} for heading in reversed(METHODS.values())}
    for (number, method), draws in found.items():
        if method in METHODS:
            lines[METHODS[method]][number] = draws
    return lines | {f"{METHODS[method]}, longer": longer(method) for method in ("scratch", "fine-tuned")}


def labels_figure():
    """Draw accuracy against the number of labels, each draw a point, and put the picture at the head of the notebook."""
    import matplotlib.pyplot as plt

    lines, numbers = labels_lines(), set()
    axis = plt.subplots(figsize=(8, 3.8), layout="constrained")[1]
    styles = (
        ("C0", "o", "-"),
        ("C1", "s", "-"),
        ("C2", "^", "-"),
        ("C3", "v", "-"),
        ("C3", "v", "--"),
        ("C0", "o", "--"),
    )
    for (heading, points), (color, marker, line) in zip(lines.items(), styles):
        inside = color if line == "-" else "white"
        axis.plot([], [], color + marker + line, markerfacecolor=inside, markersize=5, label=heading)
        axis.plot(list(points), [statistics.mean(draws) for draws in points.values()], color + line)
        for number, draws in points.items():
            axis.plot([number] * len(draws), draws, color + marker, markerfacecolor=inside, markersize=5)
        numbers |= set(points)
    numbers = sorted(numbers)
    axis.axhline(10, color="grey", linewidth=1, linestyle=":", label="guessing")
    axis.set(xscale="log", xlabel="labels a class", ylabel="% of the test images right", xticks=numbers)
    axis.set_xticklabels(numbers)
    axis.minorticks_off()
    axis.grid(alpha=0.3)
    axis.figure.legend(loc="outside right upper")
    picture = LOGS / "labels.png"
    axis.figure.savefig(picture, dpi=100, metadata={"Description": digest("labels.csv")})
    plt.close(axis.figure)
    notebook = read(ROOT / CLASSIFICATION)
    notebook["cells"][0]["attachments"] = {picture.name: {"image/png": base64.b64encode(picture.read_bytes()).decode()}}
    write(ROOT / CLASSIFICATION, notebook, ensure_ascii=False)


def scale(batch=256, network=125, faster=100):
    """What exchanging gradients costs beside computing them, on paper. network: millions of bytes a second."""
    weights = sum(log(BASE, "card")["parameters"].values())
    speed = log("bench", "cpu")["contenders"]["this project, JAX"]["images_per_second"]
    megabytes, computing = 4 * weights / 1e6, batch / speed
    sending = 2 * megabytes / network
    return (
        f"The row 6 & 2 has {weights:,} weights, so its gradients are {megabytes:.1f} MB a step. In a ring each process sends and receives about twice "
        f"that, {2 * megabytes:.1f} MB, on 8 devices as on 64. On JAX two CPU cores train about {speed:,} images/s (`make bench`, there with the paper's decoder and AdamW): {batch} images take {computing:.2f} s. "
        f"A network of 1 Gbit/s moves {2 * megabytes:.1f} MB in {sending:.2f} s. So with {batch} images for each of 8 or 64 such machines, "
        f"{sending / (sending + computing):.0%} of a step would be waiting. A device that is {faster} times as fast computes for {computing / faster:.4f} s. "
        f"It would wait for {sending / (sending + computing / faster):.0%} of a step at 1 Gbit/s, and for {sending / 100 / (sending / 100 + computing / faster):.0%} at 100 Gbit/s."
    )


def cells(name):
    """The card of the encoder in logs/<name>.json, and the rows of logs/<name>.csv that measure it on tested pictures."""
    card = read(LOGS / f"{name}.json")
    rows = [row for row in rows_of(name) if card["sha256"]["encoder.keras"].startswith(row["encoder"])]
    tested = "0" if "draw" in rows[0] else ""  # how many labelled pictures were held out, or which fifth
    return card, [row for row in rows if row["held_out"] == tested]


def cells_table(rows, column, heading, repeats):
    """A table of one column of logs/elpv.csv: mean and standard deviation over splits or draws."""
    lines = [[f"labels · {heading}, %", *CELLS.values(), repeats]]
    for labels in sorted({row["labels"] for row in rows}, key=int):
        draws = []
        for method in CELLS:
            found = [row for row in rows if (row["labels"], row["weights"], row["learns"]) == (labels, *method)]
            assert len({row["learning_rate"] for row in found}) == 1, f"{method} was measured at several rates"
            draws.append([float(row[column]) for row in found])
        lines.append([labels, *map(spread, draws), len(draws[0])])
    return table(lines)


def gains_table(rows, repeats):
    """A table of what pre-training adds to average precision, split by split or draw by draw."""
    like = {"probe": "linear probe, pre-trained less untrained", "all": "fine-tuned less from scratch"}
    lines = [["labels · average precision, points", *like.values()]]
    found = {}
    for row in rows:
        key = row["labels"], row["weights"], row["learns"]
        found.setdefault(key, {})[row.get("split", row.get("draw"))] = float(row["average_precision"])
    for labels in sorted({row["labels"] for row in rows}, key=int):
        told = []
        for learns in like:
            new, old = (found[labels, weights, learns] for weights in ("pre-trained", "untrained"))
            added = [new[which] - old[which] for which in new]
            mean, deviation = statistics.mean(added), statistics.stdev(added)
            told.append(f"{mean:+.1f} ± {deviation:.1f}, ahead in {sum(gain > 0 for gain in added)} of {len(added)}")
        lines.append([labels, *told])
    return f"What pre-training adds, like with like, mean and standard deviation over the {repeats}:\n\n{table(lines)}"


def elpv():
    """What pre-training on solar cells is worth: average precision and accuracy on the tested pictures, over five splits."""
    card, rows = cells("elpv")
    test, positive = ({row["split"]: int(row[name]) for row in rows} for name in ("test", "test_defective"))
    share = 100 * sum(positive.values()) / sum(test.values())
    about = (
        f"Pre-trained on all {card['settings']['train_images']:,} pictures without labels, {card['epochs']} epochs. In each of {len(test)} stratified splits "
        f"another fifth, {min(test.values())} to {max(test.values())} pictures, is tested, and the labelled ones are drawn from the rest. {share:.1f} % of the pictures are defective. "
        f"So guessing has an average precision of about {share:.1f} %, and calling every cell sound an accuracy of {100 - share:.1f} %. "
        "Mean and standard deviation over the splits:"
    )
    tables = [
        cells_table(rows, column, column.replace("_", " "), "splits") for column in ("average_precision", "accuracy")
    ]
    return "\n\n".join([about, *tables, gains_table(rows, "splits")])


def elpv_unseen():
    """The same of an encoder that had not seen the tested pictures."""
    card, rows = cells("elpv-unseen")
    test, positive = int(rows[0]["test"]), int(rows[0]["test_defective"])
    about = (
        f"Pre-trained on {card['settings']['train_images']:,} pictures, and tested on the {rows[0]['test']} others, of which {100 * positive / test:.1f} % are defective. "
        "One set of test pictures, mean and standard deviation over draws of the labelled ones:"
    )
    tables = cells_table(rows, "average_precision", "average precision", "draws"), gains_table(rows, "draws")
    return "\n\n".join([about, *tables])


DOCUMENTS = {  # the marked parts of each, by the functions that make them
    "README.md": (quickstart, results, labels, bench, split),
    "logs/README.md": (details, every_seed),
    "weights/README.md": (weights,),
    "ablations/README.md": (variants, chance, long),
    "docs/labels.md": (
        two_optimisers,
        all_labels,
        all_labels_tries,
        tuned_blocks,
        two_encoders,
        robustness,
        each_corruption,
    ),
    "docs/scale.md": (scale,),
    "docs/own-images.md": (elpv, elpv_unseen),
}


def between(text, name, content):
    """`text` with what stands between the markers <!-- name --> and <!-- /name --> replaced."""
    pattern = re.compile(rf"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
    text, found = pattern.subn(lambda match: f"<!-- {name} -->{content}<!-- /{name} -->", text)
    assert found == 1, f"the markers <!-- {name} --> ... <!-- /{name} --> are missing"
    return text


def filled(document):
    """The text of a document (a key of DOCUMENTS) with all marked parts rebuilt."""
    text = (ROOT / document).read_text()
    for part in DOCUMENTS[document]:
        text = between(text, part.__name__, f"\n{part()}\n")
    return text


def badges(address, notebooks):
    """Markdown of *Open in Colab* badges; empty without an address."""
    colab = address.rstrip("/").replace("https://github.com/", "https://colab.research.google.com/github/")
    badge = "https://colab.research.google.com/assets/colab-badge.svg"
    return "".join(
        f"\n[![Open {name} in Colab]({badge})]({colab}/blob/main/{name}) `{name}`\n" for name in notebooks if address
    )


def download(text, address):
    """Markdown that fetches, by web address and SHA-256, the encoder that `text` loads from a copy of the repository."""
    if not address:
        return ""
    path = re.search(r"weights/[\w-]+/encoder\.keras", text)[0]
    digest = read((ROOT / path).with_name("card.json"))["sha256"]["encoder.keras"]
    return f"""
Without a copy of the repository, let Keras fetch the file, check its SHA-256 and keep it:

```python
import keras
path = keras.utils.get_file(
    "{path.split("/")[1]}.keras",
    "{address.rstrip("/")}/raw/main/{path}",
    file_hash="{digest}",
)
encoder = keras.saving.load_model(path)
```
"""


def addressed(address):
    """What README and notebooks should be with this address: file name -> content."""
    readme = between((ROOT / "README.md").read_text(), "address", badges(address, NOTEBOOKS))
    files = {"README.md": between(readme, "download", download(readme, address))}
    for name in NOTEBOOKS:
        notebook = read(ROOT / name)
        head = notebook["cells"][0]
        head["source"] = between("".join(head["source"]), "address", badges(address, [name])).splitlines(keepends=True)
        files[name] = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    return files


def main(command="", address=""):
    """Write the documents, or the address."""
    if command == "address":
        for name, content in addressed(address).items():
            write_text(ROOT / name, content)
    else:
        for document in DOCUMENTS:
            write_text(ROOT / document, filled(document))
        figure()
        returns_figure()
        labels_figure()


if __name__ == "__main__":
    main(*sys.argv[1:])
