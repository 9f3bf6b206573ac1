"""Copy a finished run's weights to weights/<run>/ and its logs to logs/<run>/: python scripts/release.py RUN"""

import shutil
import sys

from notebooks import ROOT

WEIGHTS = ("encoder.keras", "decoder.keras", "classifier.keras", "card.json")
LOGS = ("settings.json", "history.csv", "results.json", "quickstart.json", "card.json", "tensorboard", "figures")


def main(run=""):
    """Copy what there is; `quickstart` is for showing that everything works, so its weights are not released."""
    source = ROOT / "runs" / run
    if not run or not (source / "results.json").exists():
        sys.exit(f"runs/{run} holds no finished run: name one with `make release RUN=...`.")
    for names, target in ((WEIGHTS, ROOT / "weights" / run), (LOGS, ROOT / "logs" / run)):
        if target.parent.name == "weights" and (run == "quickstart" or not (source / "card.json").exists()):
            continue
        target.mkdir(parents=True, exist_ok=True)
        for path in (source / name for name in names):
            if path.is_dir():
                shutil.copytree(path, target / path.name, dirs_exist_ok=True)
            elif path.exists():
                shutil.copy2(path, target)
        print(f"{target.relative_to(ROOT)}/: {', '.join(sorted(p.name for p in target.iterdir()))}")


if __name__ == "__main__":
    main(*sys.argv[1:])
