"""Rebuild the tables of README.md and weights/README.md and the figure from logs/: python scripts/results.py

Every number in the results stands between markers that this script fills; tests/test_readme.py compares.
"""

import csv
import json
import re

from notebooks import ROOT
from quickstart import summary

LOGS = ROOT / "logs"
PUBLISHED = {  # the predecessor's linear probes after 100 epochs, one run each, test set, in %
    "mae-3x1-mask60-100ep": 44.25,
    "mae-3x1-mask75-100ep": 46.84,
    "mae-6x2-mask75-100ep": 48.16,
    "mae-9x3-mask75-100ep": 49.33,
}
CLASSIFIER, CLASSIFIER_PUBLISHED = "classifier-3-100ep", "about 76 % after 100 epochs"
FIGURE = LOGS / "figures" / "results.png"


def read(run, name):
    """logs/<run>/<name>.json as a dict."""
    return json.loads((LOGS / run / f"{name}.json").read_text())


def released(runs=PUBLISHED):
    """Those of the runs that have been released, and probed since."""
    probed = [run for run in runs if (LOGS / run / "probe.json").exists()]
    return [
        run for run in probed if read(run, "probe")["sha256"] == read(run, "card")["sha256"]["encoder.keras"]
    ]


def table(rows):
    """Markdown of a table; the first row is its head."""
    lines = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def duration(seconds):
    """Hours and minutes, as 1:05 h."""
    minutes = round(seconds / 60)
    return f"{minutes // 60}:{minutes % 60:02} h"


def quickstart():
    """The last line that `make quickstart` printed."""
    return "```\n" + summary(LOGS / "quickstart") + "\n```"


def results():
    """The published table with ours beside it; in brackets the untrained encoder of the same depth."""
    rows = [
        [
            "layers, encoder & decoder",
            "mask",
            "published",
            "**linear probe**, final tokens (untrained)",
            "all blocks (untrained)",
            "neighbours (untrained)",
            "encoder parameters",
            "training",
            "files",
        ]
    ]
    for run, published in PUBLISHED.items():
        if not released([run]):
            layers, mask = re.match(r"mae-(\dx\d)-mask(\d+)", run).groups()
            rows.append([layers.replace("x", " & "), f"0.{mask}", published, *["not run yet"] * 6])
            continue
        card, tests = read(run, "card"), read(run, "probe")["test"]
        settings = card["settings"]
        numbers = [
            f"{states['trained']['accuracy']:.2f} ({states['untrained']['accuracy']:.2f})"
            for states in (tests[name] for name in ("probe, final tokens", "probe, all blocks", "neighbours"))
        ]
        rows.append(
            [
                f"{settings['encoder_layers']} & {settings['decoder_layers']}",
                f"{settings['mask_ratio']:.2f}",
                published,
                re.sub(r"^[\d.]+", r"**\g<0>**", numbers[0]),
                *numbers[1:],
                f"{card['parameters']['encoder']:,}",
                f"{duration(card['seconds'])}, {card['hardware']}",
                f"[weights](weights/{run}), [logs](logs/{run})",
            ]
        )
    return table(rows)


def baseline():
    """One sentence on the supervised run."""
    card, score = read(CLASSIFIER, "card"), read(CLASSIFIER, "results")
    return (
        f"With labels from scratch, {card['layers']} layers, {card['epochs']} epochs: **{score['accuracy']:.2f} %** "
        f"(published: {CLASSIFIER_PUBLISHED}; {duration(card['seconds'])}, {card['hardware']}; one run, seed {card['settings']['seed']}; "
        f"[weights](weights/{CLASSIFIER}), [logs](logs/{CLASSIFIER}))."
    )


def tries(name, judged):
    """Table of the tries in logs/<name>.csv. judged: {heading: column} of what they were judged by."""
    with open(LOGS / f"{name}.csv") as file:
        rows = list(csv.DictReader(file))
    settings = {
        "learning rate": "learning_rate",
        "smallest crop": "crop_area",
        "weight decay": "weight_decay",
        "epochs": "epochs",
    }
    shown = settings | judged
    return table([list(shown), *([row[column] for column in shown.values()] for row in rows)])


def recipe():
    """The tries of pre-training on held-out images."""
    judged = {
        "validation loss": "validation_loss",
        "validation probe, %": "validation_probe",
        "untrained, %": "untrained",
    }
    return tries("recipe", judged)


def recipe_classifier():
    """The tries of the supervised baseline on the same held-out images."""
    return tries(
        "recipe-classifier",
        {"validation loss": "validation_loss", "validation accuracy, %": "validation_accuracy"},
    )


def weights():
    """What there is to download."""
    rows = [["folder", "what", "linear probe, final tokens (untrained)", "all blocks (untrained)", "MB"]]
    for run in released(sorted(path.parent.name for path in LOGS.glob("*/probe.json"))):
        settings, tests = read(run, "card")["settings"], read(run, "probe")["test"]
        rows.append(
            [
                f"[`{run}`]({run})",
                f"masked autoencoder, {settings['encoder_layers']} & {settings['decoder_layers']} layers, mask {settings['mask_ratio']:.2f}, {settings['epochs']} epochs",
                *(
                    f"{tests[name]['trained']['accuracy']:.2f} ({tests[name]['untrained']['accuracy']:.2f})"
                    for name in ("probe, final tokens", "probe, all blocks")
                ),
                megabytes(run),
            ]
        )
    card, score = read(CLASSIFIER, "card"), read(CLASSIFIER, "results")["accuracy"]
    what = f"supervised classifier, {card['layers']} layers, {card['epochs']} epochs: {score:.2f} % of test images right"
    rows.append([f"[`{CLASSIFIER}`]({CLASSIFIER})", what, "", "", megabytes(CLASSIFIER)])
    return table(rows)


def megabytes(run):
    """Size of the files in weights/<run>/, in millions of bytes."""
    return f"{sum(path.stat().st_size for path in (ROOT / 'weights' / run).glob('*.keras')) / 1e6:.1f}"


def figure_data():
    """What the figure shows: for each released row {accuracy, floor, published} in %, and its loss by epoch."""
    data = {}
    for run in released():
        final = read(run, "probe")["test"]["probe, final tokens"]
        with open(LOGS / run / "history.csv") as file:
            loss = [round(float(row["loss"]), 4) for row in csv.DictReader(file)]
        data[run] = {
            "accuracy": final["trained"]["accuracy"],
            "floor": final["untrained"]["accuracy"],
            "published": PUBLISHED[run],
            "loss": loss,
        }
    return data


def draw_figure():
    """Write logs/figures/results.png; the numbers it shows stand in the file too, so that a test can compare them."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    data = figure_data()
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.2), width_ratios=(3, 2), layout="constrained")
    for place, (run, row) in enumerate(data.items()):
        bars = left.barh(place, row["accuracy"], color=f"C{place}", height=0.6)
        left.barh(place, row["floor"], color="silver", height=0.6, label="" if place else "untrained encoder")
        left.bar_label(bars, fmt="%.1f", padding=4)
        left.plot(
            [row["published"]] * 2, [place - 0.4, place + 0.4], "k", label="" if place else "published before"
        )
        right.plot(range(1, len(row["loss"]) + 1), row["loss"], color=f"C{place}", label=run)
    left.set(
        yticks=range(len(data)),
        yticklabels=data,
        xlim=(0, 100),
        xlabel="linear probe, % of test images right",
    )
    left.invert_yaxis()
    left.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
    right.set(xlabel="epoch", ylabel="error on hidden patches")
    right.legend(fontsize="small")
    FIGURE.parent.mkdir(exist_ok=True)
    figure.savefig(FIGURE, dpi=110, metadata={"Description": json.dumps(data)})


DOCUMENTS = {
    "README.md": (quickstart, results, baseline, recipe, recipe_classifier),
    "weights/README.md": (weights,),
}


def filled(document):
    """The text of a document (a key of DOCUMENTS) with all marked parts rebuilt."""
    text = (ROOT / document).read_text()
    for part in DOCUMENTS[document]:
        name = part.__name__
        content = part()
        pattern = re.compile(rf"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
        block = f"<!-- {name} -->\n{content}\n<!-- /{name} -->"
        text, found = pattern.subn(lambda match, block=block: block, text)
        assert found == 1, f"{document} lacks the markers <!-- {name} --> ... <!-- /{name} -->"
    return text


def main():
    """Write the documents and the figure."""
    for document in DOCUMENTS:
        (ROOT / document).write_text(filled(document))
    draw_figure()


if __name__ == "__main__":
    main()
