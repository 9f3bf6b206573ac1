"""One try of the recipe: mae-pretraining.ipynb with one definition or parameter changed, judged on held-out training images.

    python ablations/ablate.py NAME [NAME ...] [SEED=0]
    python ablations/ablate.py variant NAME [PARAMETER=VALUE ...]

Each try trains on 45,000 images and measures on the other 5,000, into runs/ablation-<NAME>-seed<SEED>/, and adds its row to
logs/ablations.csv. A try that was cut off goes on, at the same commit; one whose row is there is left alone.

With "variant" it is trained as the notebook trains, by default for 100 epochs on all 50,000 images, and its encoder is left
in runs/<RUN>/ (RUN is NAME by default), to be probed and released like that of any other run.
"""

import hashlib
import json
import os
import pathlib
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import notebooks  # noqa: E402
from keras import layers  # noqa: E402
from training import build_encoder, prepare, train  # noqa: E402

from variants import VARIANTS  # noqa: E402

TABLE = ROOT / "logs" / "ablations.csv"
UNTRAINED = "untrained.json"
TRY = {"EPOCHS": 15, "WARMUP_EPOCHS": 1, "VALIDATION_IMAGES": 5000}


def measure(n, encoder, data, s):
    """Percent of held-out images right: linear probe on the final tokens, on all blocks, and 20 nearest neighbours."""
    x, y, x_valid, y_valid = data
    whole = build_encoder(n, s, masked=False)
    whole.set_weights(encoder.get_weights())
    p = notebooks.definitions(notebooks.PROBE)
    pooled = p["pooling_model"](whole)
    known, asked = (p["pooled_features"](pooled, images) for images in (x, x_valid))  # (M, L+1, D)
    final, final_asked = known[:, -1], asked[:, -1]
    blocks, blocks_asked = (f[:, :-1].reshape(len(f), -1) for f in (known, asked))
    scores = {
        "probe": p["linear_probe"](final, y, final_asked),
        "blocks": p["linear_probe"](blocks, y, blocks_asked),
        "neighbours": p["ask_neighbours"](final, y, final_asked, 20, 0.07),
    }
    return {test: p["accuracy"](votes, y_valid) for test, votes in scores.items()}


def measure_once(n, encoder, data, s):
    """The same, kept in runs/untrained.json by notebooks, number of images, shape and weights: many tries start from equal encoders."""
    path = ROOT / "runs" / UNTRAINED
    known = notebooks.read_if_there(path)
    sources = [notebooks.sha256(ROOT / name) for name in (notebooks.PRETRAINING, notebooks.PROBE)]
    about = [*sources, keras.__version__, keras.backend.backend(), *map(len, data), encoder.to_json()]
    parts = [str(about).encode(), *(weights.tobytes() for weights in encoder.get_weights())]
    digest = hashlib.sha256(b"".join(parts)).hexdigest()
    if digest not in known:
        known[digest] = measure(n, encoder, data, s)
        notebooks.write(path, known)
    return known[digest]


def ablate(name, seed=0):
    """Run one try and add its row to the table."""
    if any(row["name"] == name and row["seed"] == str(seed) for row in notebooks.read_csv(TABLE)):
        return print(f"{name}, seed {seed}, stands in {TABLE.name} already.")
    keras.utils.clear_session()  # names of layers count from the start, so equal encoders have equal JSON
    chosen = VARIANTS[name]
    settings = notebooks.parameters(notebooks.PRETRAINING) | TRY | chosen.settings | {"SEED": seed}
    folder = ROOT / "runs" / f"ablation-{name}-seed{seed}"
    start = notebooks.provenance()
    notebooks.open_run(folder, settings | {"commit": start["commit"]})
    n, data, model, encoder = prepare(settings, chosen.change)
    untrained = measure_once(n, encoder, data, settings)
    history = train(n, model, data[0], data[2], settings, folder)
    trained = measure(n, encoder, data, settings)
    seconds = [float(epoch["seconds"]) for epoch in history.values()]
    images = len(data[0]) // settings["BATCH_SIZE"] * settings["BATCH_SIZE"]  # an epoch
    row = {"name": name, "factor": chosen.factor, "value": chosen.value, "seed": seed, "epochs": len(history)}
    row |= trained | {f"untrained_{test}": score for test, score in untrained.items()}
    row["validation_loss"] = round(float(history[max(history)]["val_loss"]), 5)
    row["images_per_second"] = round(images / statistics.median(seconds[1:]))  # the first epoch compiles
    row |= {"seconds": round(sum(seconds)), "encoder_parameters": encoder.count_params(), "hardware": start["hardware"]}
    backend = f"{start['backend']} {start['versions'][start['backend']]}"
    row |= {"keras": start["versions"]["keras"], "backend": backend, "commit": start["commit"], "name_at_commit": name}
    notebooks.add_row(TABLE, row)
    print(json.dumps(row), flush=True)


def train_variant(name, *words):
    """Train as the notebook does, with a try's change and these parameters ("EPOCHS=50"); returns the run's folder.

    The decoder is not exported, and no picture drawn: what it predicts may be no pixels.
    """
    defaults = notebooks.parameters(notebooks.PRETRAINING) | VARIANTS[name].settings | {"RUN": name}
    s = defaults | notebooks.parse(words, defaults)
    settings = {key.lower(): value for key, value in s.items()}
    wrong = notebooks.problem(settings)
    if wrong or s["VALIDATION_IMAGES"] or s["IMAGES"] or s["WANDB"]:
        sys.exit(
            wrong
            or "A variant is measured on the test images of CIFAR-10: leave out IMAGES, VALIDATION_IMAGES and WANDB."
        )
    folder, settings = ROOT / "runs" / s["RUN"], settings | {"variant": name}
    notebooks.open_run(folder, settings)
    if (folder / "results.json").exists():
        print(f"runs/{folder.name} is finished already: {notebooks.read(folder / 'results.json')}")
        return folder
    n, (x, y, _, _), model, encoder = prepare(s, VARIANTS[name].change)
    untrained = encoder.get_weights()
    train(n, model, x, None, s, folder)
    whole = build_encoder(n, s, masked=False)
    pooled = keras.Model(whole.input, layers.GlobalAveragePooling1D()(whole.output))
    x_test, y_test = n["load_cifar10"](ROOT / "data")[2:]
    results = {"measured_on": "test", "images": len(y_test)}
    for state, weights in (("untrained", untrained), ("linear_probe", encoder.get_weights())):
        whole.set_weights(weights)
        known, asked = (pooled.predict(images, batch_size=500, verbose=0) for images in (x, x_test))
        right = n["linear_probe"](known, y, asked).argmax(axis=1) == y_test
        results[state] = round(100 * float(right.mean()), 2)
    whole.save(folder / "encoder.keras")
    notebooks.write(folder / "card.json", notebooks.card(folder, settings))
    notebooks.write(folder / "results.json", results)
    print(f"runs/{folder.name}: {results}", flush=True)
    return folder


def main(*words):
    """The command line: names of tries, and seeds or parameters."""
    variant = words[:1] == ("variant",)
    words = words[1:] if variant else words
    names = [word for word in words if "=" not in word]
    settings = [word for word in words if "=" in word]
    if not names or not set(names) <= set(VARIANTS) or (variant and len(names) > 1):
        sys.exit(f"NAME is {' '.join(names)!r} and must be one of {', '.join(VARIANTS)}.")
    if variant:
        return train_variant(names[0], *settings)
    seeds = [word.removeprefix("SEED=") for word in settings] or ["0"]
    if not all(seed.isdecimal() for seed in seeds):
        sys.exit(f"SEED must be a whole number from 0 on, not {' '.join(seeds)}.")
    for name in names:
        for seed in seeds:
            ablate(name, int(seed))


if __name__ == "__main__":
    main(*sys.argv[1:])
