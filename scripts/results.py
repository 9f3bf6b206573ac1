"""Rebuild the README's tables from logs/: python scripts/results.py

Every number in the README's results stands between markers that this script fills; tests/test_readme.py compares.
"""

import csv
import json
import re

from notebooks import ROOT
from quickstart import PUBLISHED, summary

LOGS = ROOT / "logs"
PRETRAINED = "mae-6x2-mask75-20ep"
CLASSIFIER = "classifier-3-5ep"


def read(run, name):
    """logs/<run>/<name>.json as a dict."""
    return json.loads((LOGS / run / f"{name}.json").read_text())


def table(rows):
    """Markdown of a table; the first row is its head."""
    lines = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def quickstart():
    """The last line that `make quickstart` printed."""
    return "```\n" + summary(LOGS / "quickstart") + "\n```"


def results():
    """Test accuracies: published, quickstart, the released encoder and the supervised baseline."""
    rows = [["", "epochs", "linear probe, %", "the same, untrained, %", "training time, hardware"]]
    rows.append(
        ["predecessor's best (9 & 3 layers), as published", 100, PUBLISHED, "not published", "not published"]
    )
    for run, what in (
        ("quickstart", "`make quickstart` (6 & 2)"),
        (PRETRAINED, f"[`{PRETRAINED}`](weights/{PRETRAINED}) (6 & 2)"),
    ):
        card, score = read(run, "card"), read(run, "results")
        hardware = f"{card['seconds'] / 60:.0f} min, {card['hardware']}"
        rows.append(
            [what, card["epochs"], f"**{score['linear_probe']:.2f}**", f"{score['untrained']:.2f}", hardware]
        )
    return table(rows)


def probe():
    """The probe notebook's table for the released encoder."""
    tests = read("probe", "results")["encoders"][f"weights/{PRETRAINED}"]["test"]
    rows = [["test accuracy, %", "untrained", "pre-trained"]]
    rows += [
        [name, *(f"{row[state]['accuracy']:.2f}" for state in ("untrained", "trained"))]
        for name, row in tests.items()
    ]
    return table(rows)


def baseline():
    """One sentence on the supervised run."""
    card, score = read(CLASSIFIER, "card"), read(CLASSIFIER, "results")
    return (
        f"With labels from scratch, {card['layers']} layers, {card['epochs']} epochs: {score['accuracy']:.2f} % "
        f"({card['seconds'] / 60:.0f} min, {card['hardware']}, one run)."
    )


def recipe():
    """The tries on held-out images."""
    with open(LOGS / "recipe.csv") as file:
        tries = list(csv.DictReader(file))
    rows = [
        ["learning rate", "smallest crop", "epochs", "validation loss", "validation probe, %", "untrained, %"]
    ]
    rows += [
        [
            t["learning_rate"],
            t["crop_area"],
            t["epochs"],
            t["validation_loss"],
            t["validation_probe"],
            t["untrained"],
        ]
        for t in sorted(tries, key=lambda t: -float(t["validation_probe"]))
    ]
    return table(rows)


def filled(text):
    """The README's text with all marked parts rebuilt."""
    for part in (quickstart, results, probe, baseline, recipe):
        name = part.__name__
        try:
            content = part()
        except FileNotFoundError:  # not measured yet
            content = "*not measured yet*"
        pattern = re.compile(rf"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
        block = f"<!-- {name} -->\n{content}\n<!-- /{name} -->"
        text, found = pattern.subn(lambda match, block=block: block, text)
        assert found == 1, f"README.md lacks the markers <!-- {name} --> ... <!-- /{name} -->"
    return text


def main():
    """Write the README."""
    readme = ROOT / "README.md"
    readme.write_text(filled(readme.read_text()))


if __name__ == "__main__":
    main()
