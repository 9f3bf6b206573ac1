"""Try settings on held-out training images and write logs/recipe.csv and logs/recipe-classifier.csv: python scripts/recipe.py

The test set is not looked at. Each try is a short run of a notebook with 5,000 of the 50,000 training images held out; tries that
have finished are not run again.
"""

import csv
import json
import sys

from notebooks import ROOT
from run import run_or_exit

COMMON = {"EPOCHS": 10, "WARMUP_EPOCHS": 1, "VALIDATION_IMAGES": 5000}
PRETRAINING = {
    "recipe-lr-3e-3": {"LEARNING_RATE": 3e-3},  # the best of these, so the tries below use it
    "recipe-lr-4.5e-3": {"LEARNING_RATE": 4.5e-3},
    "recipe-lr-6e-3": {"LEARNING_RATE": 6e-3},
    "recipe-crop-0.3": {"LEARNING_RATE": 3e-3, "CROP_AREA": 0.3},
    "recipe-crop-0.8": {"LEARNING_RATE": 3e-3, "CROP_AREA": 0.8},
    "recipe-decay-0.15": {"LEARNING_RATE": 3e-3, "WEIGHT_DECAY": 0.15},
}
CLASSIFICATION = {
    "recipe-classifier-lr-1e-3": {"EPOCHS": 5, "LEARNING_RATE": 1e-3},
    "recipe-classifier-lr-2e-3": {"EPOCHS": 5, "LEARNING_RATE": 2e-3},
    "recipe-classifier-lr-4e-3": {"EPOCHS": 5, "LEARNING_RATE": 4e-3},
}


def results(name, notebook, settings, outcome):
    """Run a try unless it has finished, and return its row of the table.

    outcome: a function of the run's card and results that returns what the try is judged by, as a dict.
    """
    folder, parameters = ROOT / "runs" / name, COMMON | settings
    if not (folder / "results.json").exists():
        run_or_exit(notebook, RUN=name, **parameters)
    card, scores = (json.loads((folder / file).read_text()) for file in ("card.json", "results.json"))
    wanted = {key.lower(): value for key, value in parameters.items()}
    if not wanted.items() <= card["settings"].items():
        sys.exit(f"runs/{name} was made with other settings: delete it, or give the try another name.")
    chosen = ("learning_rate", "crop_area", "weight_decay", "mask_ratio", "encoder_layers", "epochs", "seed")
    judged = {"validation_loss": card["loss"]["val_loss"]} | outcome(scores)
    print(f"{name}: {judged}", flush=True)
    return (
        {"run": name}
        | {column: card["settings"][column] for column in chosen if column in card["settings"]}
        | judged
        | {column: card[column] for column in ("seconds", "hardware")}
        | {"keras": card["versions"]["keras"], "commit": card["commit"]}
    )


def write(path, rows):
    """Write rows, dicts with the same keys, as a CSV file."""
    path.parent.mkdir(exist_ok=True)
    with open(path, "w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def pretraining():
    """Run what is missing of the tries of pre-training, judged by a linear probe, and write their table."""
    rows = [
        results(
            name,
            "mae-pretraining.ipynb",
            settings,
            lambda scores: {"validation_probe": scores["linear_probe"], "untrained": scores["untrained"]},
        )
        for name, settings in PRETRAINING.items()
    ]
    write(ROOT / "logs" / "recipe.csv", rows)


def classification():
    """The same for the supervised baseline, judged by its accuracy."""
    rows = [
        results(
            name,
            "regular-classification.ipynb",
            settings,
            lambda scores: {"validation_accuracy": scores["accuracy"]},
        )
        for name, settings in CLASSIFICATION.items()
    ]
    write(ROOT / "logs" / "recipe-classifier.csv", rows)


if __name__ == "__main__":
    pretraining()
    classification()
