"""Copy a finished run's weights to weights/<name>/ and its logs to logs/<name>/: python scripts/release.py RUN [NAME]

If the run used a notebook as it stands here, without other parameters, the executed notebook takes its place.
"""

import shutil
import sys

from notebooks import ROOT, code_cells

WEIGHTS = ("encoder.keras", "decoder.keras", "classifier.keras", "card.json")
LOGS = (
    "settings.json",
    "history.csv",
    "results.json",
    "quickstart.json",
    "card.json",
    "tensorboard",
    "figures",
)


def copy(names, source, target):
    """Copy the files and folders `names`, as far as they exist, from one folder to another."""
    for path in (source / name for name in names if (source / name).exists()):
        target.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target / path.name, dirs_exist_ok=True)
        else:
            shutil.copy2(path, target)
    if target.exists():
        print(f"{target.relative_to(ROOT)}/: {', '.join(sorted(path.name for path in target.iterdir()))}")


def main(run="", name=""):
    """Copy what there is; `quickstart` only shows that everything works, so its weights are not released."""
    source = ROOT / "runs" / run
    if not run or not (source / "results.json").exists():
        sys.exit(f"runs/{run} holds no finished run: name one with `make release RUN=...`.")
    target = ROOT / "logs" / (name or run)
    ours, theirs = (folder / "settings.json" for folder in (source, target))
    if theirs.exists() and ours.read_text() != theirs.read_text():
        sys.exit(
            f"logs/{target.name} holds a run with other settings: choose another AS, or delete it first."
        )
    if run != "quickstart" and (source / "card.json").exists():
        copy(WEIGHTS, source, ROOT / "weights" / (name or run))
    copy(LOGS, source, target)
    for executed in source.glob("*.ipynb"):
        if (ROOT / executed.name).exists() and code_cells(executed) == code_cells(executed.name):
            shutil.copy2(executed, ROOT)
            print(f"{executed.name}: now with the outputs of this run")


if __name__ == "__main__":
    main(*sys.argv[1:])
