"""Measure every released model again and compare with what is said about it: python scripts/verify.py [weights/NAME ...]

First each file's SHA-256 is compared with its card. Only then a process of its own opens the model and classifies CIFAR-10's
test images: an encoder with the probes and neighbours of linear-probe.ipynb, at the settings that were chosen there, a
classifier by itself. The accuracies must be those of the card to within TOLERANCE, and card and logs/ must agree exactly. The
floors of untrained encoders are compared, not measured again.
"""

import json
import os
import pathlib
import subprocess
import sys

from notebooks import ROOT, definitions

# Percentage points. The weights are the same to the last bit; what may differ is a probe that is trained anew on another
# machine or backend, where sums are rounded in another order.
TOLERANCE = 0.5


def measure_encoder(folder, arrays):
    """{test: accuracy in %} of the encoder in `folder`, for each test in its card; arrays as from load_cifar10."""
    tools = definitions("linear-probe.ipynb")
    chosen = json.loads((folder / "card.json").read_text())["results"]
    x_train, y_train, x_test, y_test = arrays
    pooled = tools["pooling_model"](tools["load_encoder"](folder))
    train, test = (tools["pooled_features"](pooled, images) for images in (x_train, x_test))  # (M, L+1, D)
    views = {
        "probe, final tokens": [x[:, -1] for x in (train, test)],
        "probe, all blocks": [x[:, :-1].reshape(len(x), -1) for x in (train, test)],
    }
    scores = {
        name: tools["linear_probe"](x, y_train, x_new, chosen[name]["trained"]["learning_rate"])
        for name, (x, x_new) in views.items()
    }
    k, temperature = (chosen["neighbours"]["trained"][name] for name in ("k", "temperature"))
    similarities, found = tools["neighbours"](train[:, -1], test[:, -1], k)
    scores["neighbours"] = tools["vote"](similarities, y_train[found], temperature)
    return {name: tools["accuracy"](score, y_test) for name, score in scores.items()}


def measure_classifier(folder, arrays):
    """{"accuracy": in %} of the classifier in `folder` on the test images."""
    import keras

    *_, x_test, y_test = arrays
    logits = keras.saving.load_model(folder / "classifier.keras").predict(x_test, batch_size=500, verbose=0)
    return {"accuracy": definitions("linear-probe.ipynb")["accuracy"](logits, y_test)}


def stated(card):
    """{test: accuracy in %} that a card states."""
    results = card["results"]
    if "accuracy" in results:
        return {"accuracy": results["accuracy"]}
    return {test: states["trained"]["accuracy"] for test, states in results.items()}


def logged(folder, root=ROOT):
    """What logs/ says was measured with the model in `folder`, as the card should repeat it; None if it says nothing."""
    classifier = (folder / "classifier.keras").exists()
    path = root / "logs" / folder.name / ("results.json" if classifier else "probe.json")
    if not path.exists():
        return None
    return json.loads(path.read_text()) if classifier else json.loads(path.read_text())["test"]


def damaged(folder, root=ROOT):
    """What is wrong with the files in `folder`, in one sentence; an empty string if they are those of the card."""
    sha256 = definitions("linear-probe.ipynb", {"sha256"})["sha256"]
    try:
        card = json.loads((folder / "card.json").read_text())
        wrong = [name for name, digest in card["sha256"].items() if sha256(folder / name) != digest]
    except (OSError, ValueError, KeyError) as error:
        return f"{folder.name}: a file is missing or card.json cannot be read ({error}): check the folder out again."
    if wrong:
        return f"{folder.name}: {', '.join(wrong)} differs from the SHA-256 in card.json: check it out again."
    if "results" not in card or card["results"] != logged(folder, root):
        return f"{folder.name}: card.json does not state the results in logs/: run `make probe` on it, then `make release` on that run."
    return ""


def compare(name, measured, card):
    """Lines to print and whether all is well: measured and card are {test: accuracy in %}."""
    lines, well = [], set(measured) == set(card)
    if not well:
        lines.append(f"{name}: card.json states other tests: {', '.join(card)}")
    for test, value in measured.items():
        near = abs(value - card.get(test, -100)) <= TOLERANCE
        well = well and near
        lines.append(
            f"{name:24}{test:22}{value:6.2f} measured,{card.get(test, float('nan')):6.2f} stated: "
            + ("ok" if near else f"DIFFERS by more than {TOLERANCE}")
        )
    return lines, well


def main(*words):
    """Verify the folders named, or all; exits with 1 if one does not hold what it promises."""
    names = {path.name for path in ROOT.glob("weights/*") if path.is_dir()}
    names |= {path.parent.name for path in ROOT.glob("logs/*/probe.json")}  # what the README's table shows
    folders = [pathlib.Path(word).resolve() for word in words] or [
        ROOT / "weights" / name for name in sorted(names)
    ]
    well = bool(folders)
    for folder in folders:
        problem = damaged(folder)
        if problem:
            print(problem)
            well = False
            continue
        done = subprocess.run(
            [sys.executable, __file__, "--measure", folder], stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            print(f"{folder.name}: could not be measured, see above.")
            well = False
            continue
        card = stated(json.loads((folder / "card.json").read_text()))
        lines, fine = compare(folder.name, json.loads(done.stdout.splitlines()[-1]), card)
        print("\n".join(lines), flush=True)
        well = well and fine
    print(
        f"{len(folders)} released models, tolerance {TOLERANCE} points: {'all as stated' if well else 'NOT as stated'}"
    )
    sys.exit(not well)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        where = pathlib.Path(sys.argv[2])
        images = definitions("linear-probe.ipynb")["load_cifar10"](ROOT / "data")
        kind = measure_classifier if (where / "classifier.keras").exists() else measure_encoder
        print(json.dumps(kind(where, images)))
    else:
        main(*sys.argv[1:])
