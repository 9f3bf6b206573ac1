"""A short pre-training on all of CIFAR-10, a linear probe, and one line that says what came out: python scripts/quickstart.py"""

import json
import os
import time

from run import run

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


def main():
    """Run the notebook; a run that was already finished is only read again and keeps the time it took."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    print(f"quickstart: {SETTINGS['EPOCHS']} epochs; the line after each epoch shows how it goes")
    start = time.time()
    folder = run("mae-pretraining.ipynb", **SETTINGS)
    times = folder / "quickstart.json"
    if not times.exists():
        times.write_text(json.dumps({"command": "make quickstart", "seconds": round(time.time() - start, 1)}))
    print("the executed notebook, history, figures and exported encoder are in runs/quickstart/")
    print(summary(folder))


if __name__ == "__main__":
    main()
