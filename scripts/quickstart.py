"""A short pre-training on all of CIFAR-10, a linear probe, and one line that says what came out: python scripts/quickstart.py"""

import json
import sys
import time

from notebooks import ROOT
from run import run_or_exit

SETTINGS = {"RUN": "quickstart", "EPOCHS": 5, "WARMUP_EPOCHS": 1}
PUBLISHED = 49.33  # the predecessor's best linear probe, after 100 epochs


def summary(folder):
    """The line to remember, from a finished run's folder."""
    read = {
        name: json.loads((folder / f"{name}.json").read_text()) for name in ("card", "results", "quickstart")
    }
    results = read["results"]
    return (
        f"linear probe: {results['linear_probe']:.2f} % · untrained encoder: {results['untrained']:.2f} % · published: {PUBLISHED} % · "
        f"{read['card']['images_per_second']:.0f} images/s · {read['quickstart']['seconds']:.0f} s"
    )


def main(*words):
    """Run the notebook; a run that was already finished is only read again and keeps the time it took."""
    if words:
        sys.exit("quickstart takes no parameters: `make pretrain` takes them all.")
    print(f"quickstart: {SETTINGS['EPOCHS']} epochs, a line after each")
    times = ROOT / "runs" / "quickstart" / "quickstart.json"
    before = json.loads(times.read_text())["seconds"] if times.exists() else 0
    start = time.time()
    done = (ROOT / "runs" / "quickstart" / "results.json").exists()
    try:
        folder = run_or_exit("mae-pretraining.ipynb", **SETTINGS)
    finally:  # a run that is cut off and taken up again took the time of both parts
        if times.parent.exists() and not done:
            seconds = round(before + time.time() - start, 1)
            times.write_text(json.dumps({"command": "make quickstart", "seconds": seconds}))
    print("the executed notebook, history, figures and exported encoder are in runs/quickstart/")
    print(summary(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
