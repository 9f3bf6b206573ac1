"""Try settings of the pre-training recipe on held-out training images and write logs/recipe.csv: python scripts/recipe.py

The test set is not looked at. Each try is a run of mae-pretraining.ipynb; tries that have finished are not run again.
"""

import csv
import json

from notebooks import ROOT
from run import run_or_exit

COMMON = {"EPOCHS": 10, "WARMUP_EPOCHS": 1, "VALIDATION_IMAGES": 5000}
TRIES = {
    "recipe-lr-3e-3": {"LEARNING_RATE": 3e-3},  # the best of these, so the tries below use it
    "recipe-lr-4.5e-3": {"LEARNING_RATE": 4.5e-3},
    "recipe-lr-6e-3": {"LEARNING_RATE": 6e-3},
    "recipe-crop-0.3": {"LEARNING_RATE": 3e-3, "CROP_AREA": 0.3},
    "recipe-crop-0.8": {"LEARNING_RATE": 3e-3, "CROP_AREA": 0.8},
    "recipe-decay-0.15": {"LEARNING_RATE": 3e-3, "WEIGHT_DECAY": 0.15},
}
COLUMNS = ("learning_rate", "crop_area", "weight_decay", "mask_ratio", "encoder_layers", "epochs", "seed")


def main():
    """Run what is missing, then write the table."""
    rows = []
    for name, settings in TRIES.items():
        folder = ROOT / "runs" / name
        if not (folder / "results.json").exists():
            run_or_exit("mae-pretraining.ipynb", RUN=name, **COMMON, **settings)
        card, results = (json.loads((folder / file).read_text()) for file in ("card.json", "results.json"))
        rows.append(
            {"run": name}
            | {column: card["settings"][column] for column in COLUMNS}
            | {
                "validation_loss": card["loss"]["val_loss"],
                "validation_probe": results["linear_probe"],
                "untrained": results["untrained"],
            }
            | {
                "seconds": card["seconds"],
                "hardware": card["hardware"],
                "keras": card["versions"]["keras"],
                "commit": card["commit"],
            }
        )
        print(
            {key: rows[-1][key] for key in ("run", "validation_loss", "validation_probe", "untrained")},
            flush=True,
        )
    (ROOT / "logs").mkdir(exist_ok=True)
    with open(ROOT / "logs" / "recipe.csv", "w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    main()
