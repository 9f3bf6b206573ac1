"""One try of the recipe: mae-pretraining.ipynb with one definition or parameter changed, judged on held-out training images.

    python ablations/ablate.py NAME [NAME ...] [SEED=0]

Each try trains on 45,000 images and measures on the other 5,000, into runs/ablation-<NAME>-seed<SEED>/, and adds its row to
logs/ablations.csv. A try that was cut off goes on; one whose row is there is left alone.
"""

import csv
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
from keras import ops  # noqa: E402

from variants import VARIANTS  # noqa: E402

TABLE = ROOT / "logs" / "ablations.csv"
TRY = {"EPOCHS": 15, "WARMUP_EPOCHS": 1, "VALIDATION_IMAGES": 5000}


def prepare(s, change=None):
    """(definitions with the change made, images and labels to train on and held out, the untrained model, its encoder).

    s: the notebook's settings. What its cells do between their definitions, in their order, so that weights start alike.
    """
    n = notebooks.definitions(notebooks.PRETRAINING)
    if change:
        change(n)
    x, y = n["load_cifar10"](ROOT / "data")[:2]
    fit, valid = slice(s["TRAIN_IMAGES"] - s["VALIDATION_IMAGES"]), slice(50_000 - s["VALIDATION_IMAGES"], None)
    num_patches = (32 // s["PATCH_SIZE"]) ** 2
    num_visible = num_patches - round(s["MASK_RATIO"] * num_patches)
    keras.utils.set_random_seed(s["SEED"])
    encoder = build_encoder(n, s, masked=True, fuse=s["FUSE_BLOCKS"])
    sizes = [s[f"DECODER_{name}"] for name in ("WIDTH", "LAYERS", "HEADS")]
    decoder = n["build_decoder"](
        num_patches, 3 * s["PATCH_SIZE"] ** 2, encoder.output.shape[-1], *sizes, s["MLP_RATIO"]
    )
    rest = s["PATCH_SIZE"], num_visible, s["NORMALIZE_TARGETS"], s["CROP_AREA"], s["SEED"]
    model = n["MaskedAutoencoder"](encoder, decoder, *rest)
    model(ops.convert_to_tensor(x[:8], "float32"))
    return n, (x[fit], y[fit], x[valid], y[valid]), model, encoder


def build_encoder(n, s, **how):
    """The encoder of these definitions and settings."""
    sizes = [s[f"ENCODER_{name}"] for name in ("WIDTH", "LAYERS", "HEADS")]
    return n["build_encoder"](32, s["PATCH_SIZE"], 3, *sizes, s["MLP_RATIO"], **how)


def train(n, model, images, held_out, s, folder):
    """Train with `fit`, going on from the checkpoint in `folder`; returns the history's rows by epoch."""
    steps = len(images) // s["BATCH_SIZE"]
    peak = s["LEARNING_RATE"] * s["BATCH_SIZE"] / 256
    optimizer = n["build_optimizer"](model, peak, s["WEIGHT_DECAY"], s["EPOCHS"], s["WARMUP_EPOCHS"], steps, s["MUON"])
    model.compile(optimizer, jit_compile=True)
    checkpoint = folder / "checkpoint.weights.h5"
    if not checkpoint.exists():
        n["save_checkpoint"](model, checkpoint)
    model.load_weights(checkpoint)
    finished = int(optimizer.iterations) // steps
    log = keras.callbacks.CSVLogger(folder / "history.csv", append=True)
    save = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: n["save_checkpoint"](model, checkpoint))
    if finished < s["EPOCHS"]:
        model.fit(
            n["Batches"]([images], s["BATCH_SIZE"], s["SEED"], finished),
            epochs=s["EPOCHS"],
            initial_epoch=finished,
            validation_data=(held_out,),
            validation_batch_size=500,
            callbacks=[n["Progress"](), log, save],
            shuffle=False,
            verbose=0,
        )
    return notebooks.epochs(folder / "history.csv")


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


def measure_once(n, encoder, data, s, commit):
    """The same, kept in runs/untrained.json by commit, shape and weights: many tries start from equal encoders."""
    path = ROOT / "runs" / "untrained.json"
    known = notebooks.read(path) if path.exists() else {}
    parts = [f"{commit} {encoder.to_json()}".encode(), *(weights.tobytes() for weights in encoder.get_weights())]
    digest = hashlib.sha256(b"".join(parts)).hexdigest()
    if digest not in known:
        known[digest] = measure(n, encoder, data, s)
        notebooks.write(path, known)
    return known[digest]


def ablate(name, seed=0):
    """Run one try and add its row to the table."""
    rows = list(csv.DictReader(TABLE.open())) if TABLE.exists() else []
    if any(row["name"] == name and row["seed"] == str(seed) for row in rows):
        return print(f"{name}, seed {seed}, stands in {TABLE.name} already.")
    factor, value, own, change = VARIANTS[name]
    settings = notebooks.parameters(notebooks.PRETRAINING) | TRY | own | {"SEED": seed}
    folder = ROOT / "runs" / f"ablation-{name}-seed{seed}"
    start = notebooks.provenance()
    notebooks.open_run(folder, settings | {"commit": start["commit"]})
    n, data, model, encoder = prepare(settings, change)
    untrained = measure_once(n, encoder, data, settings, start["commit"])
    history = train(n, model, data[0], data[2], settings, folder)
    trained = measure(n, encoder, data, settings)
    seconds = [float(epoch["seconds"]) for epoch in history.values()]
    images = len(data[0]) // settings["BATCH_SIZE"] * settings["BATCH_SIZE"]  # an epoch
    row = {"name": name, "factor": factor, "value": value, "seed": seed, "epochs": len(history)}
    row |= trained | {f"untrained_{test}": score for test, score in untrained.items()}
    row["validation_loss"] = round(float(history[max(history)]["val_loss"]), 5)
    row["images_per_second"] = round(images / statistics.median(seconds[1:]))  # the first epoch compiles
    row |= {"seconds": round(sum(seconds)), "encoder_parameters": encoder.count_params(), "hardware": start["hardware"]}
    backend = f"{start['backend']} {start['versions'][start['backend']]}"
    row |= {"keras": start["versions"]["keras"], "backend": backend, "commit": start["commit"]}
    with TABLE.open("a", newline="") as file:
        writer = csv.DictWriter(file, row, lineterminator="\n")
        if not rows:
            writer.writeheader()
        writer.writerow(row)
    print(json.dumps(row), flush=True)


def main(*words):
    """The command line: names of tries, and seeds."""
    seeds = [word.removeprefix("SEED=") for word in words if word.startswith("SEED=")] or ["0"]
    names = [word for word in words if not word.startswith("SEED=")]
    if not names or not set(names) <= set(VARIANTS):
        sys.exit(f"NAME is {' '.join(names)!r} and must be one of {', '.join(VARIANTS)}.")
    if not all(seed.isdecimal() for seed in seeds):
        sys.exit(f"SEED must be a whole number from 0 on, not {' '.join(seeds)}.")
    for name in names:
        for seed in seeds:
            ablate(name, int(seed))


if __name__ == "__main__":
    main(*sys.argv[1:])
