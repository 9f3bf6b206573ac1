"""What few labels are worth: regular-classification.ipynb from scratch and fine-tuned, and linear probes, into logs/labels.csv.

    python scripts/few_labels.py [10] [50] [500] [blocks] [longer] [5000] [adamw] [adamw-5000] [ENCODER=weights/NAME]

For each number of labels a class the learning rate is chosen with draw 0, on a fifth of its labelled images. All draws then
use it, with all their labels, and are measured on the 10,000 test images. Rows that are there are left alone.
"blocks" fine-tunes the last blocks alone, with 50 labels a class (paper, figure 9).
"longer" trains ten times as long from scratch, with 50 labels a class and the rate that was best for the usual length; with
500 in draw 0 only, where that is as much work as pre-training and fine-tuning.
"5000" are all labels, once, and must be asked for: the rate is chosen on 5,000 of them after 5 epochs, and from scratch there
are longer runs, with as much work as pre-training (on histograms, on pixels) and fine-tuning together. The longer of these is
done fine-tuned, too.
"adamw" is 10, 50 and blocks with AdamW for all weights, where the others have Muon for the matrices of the blocks, and
"adamw-5000" is 5000 with it.
With another ENCODER of the same sizes only those that use its weights are measured: the others are the same for both.
"""

import functools
import os
import pathlib
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # the probes here leave room for the notebook's process

import keras
import numpy as np

import notebooks
from notebooks import CLASSIFICATION, PRETRAINING_WORK, PROBE, ROOT, parameters, read, read_csv

TABLE = ROOT / "logs" / "labels.csv"
ENCODER = parameters(CLASSIFICATION)["ENCODER"]
CLASSIFIERS = {start: f"weights/classifier-6-{start}-57ep/classifier.keras" for start in ("scratch", "fine-tuned")}
SCHEDULES = {  # by labels a class
    10: {"BATCH_SIZE": 20, "EPOCHS": 100},
    50: {"BATCH_SIZE": 50, "EPOCHS": 50},
    500: {"BATCH_SIZE": 100, "EPOCHS": 40},
}
ALL = 5000  # labels a class
DRAWS = 0, 1, 2
STARTS = {"scratch": {"PRETRAINED": False}, "fine-tuned": {"PRETRAINED": True}}  # by method
BLOCKS = {f"fine-tuned, last {number}": {"PRETRAINED": True, "TUNED_BLOCKS": number} for number in (0, 1, 2, 4)}
ADAMW = {f"{method}, AdamW": start | {"MUON": False} for method, start in (STARTS | BLOCKS).items()}
del ADAMW["fine-tuned, last 0, AdamW"]  # with no block there is nothing for Muon
PROBES, PROBE_SCHEDULE = {"probe, untrained": False, "probe": True}, {"BATCH_SIZE": 100, "EPOCHS": 200}
RATES = dict.fromkeys(["scratch", *BLOCKS, *ADAMW], (4e-3, 1.6e-2, 6.4e-2))  # the less learns, the faster it may
RATES |= dict.fromkeys(["fine-tuned", "fine-tuned, AdamW", "scratch, AdamW"], (1e-3, 4e-3, 1.6e-2))
RATES |= dict.fromkeys(PROBES, (3e-4, 1e-3, 1e-2, 1e-1))
ALL_RATES = dict.fromkeys([*STARTS, *ADAMW], (1e-3, 2e-3, 4e-3)) | {"scratch": (2e-3, 4e-3, 8e-3)}  # with all labels


def schedules(method, per_class):
    """(that of the tries, those of the runs that are measured on the test images, their draws)."""
    if per_class < ALL:
        one = PROBE_SCHEDULE if method in PROBES else SCHEDULES[per_class]
        return one, [one], DRAWS
    longer = sorted({20 + epochs for epochs in PRETRAINING_WORK.values()})
    lengths = [20, *(longer if method.startswith("scratch") else longer[-1:])]
    return {"BATCH_SIZE": 256, "EPOCHS": 5}, [{"BATCH_SIZE": 256, "EPOCHS": epochs} for epochs in lengths], DRAWS[:1]


def train(method, per_class, draw, rate, held_out, schedule, encoder=ENCODER):
    """Accuracy in % and seconds of one run of the notebook, and where it was done: it may have ended long ago."""
    start = "" if encoder == ENCODER else f"{pathlib.Path(encoder).name}-"
    length = "" if schedule == SCHEDULES.get(per_class) else f"{schedule['EPOCHS']}ep-"
    name = f"labels-{start}{per_class}-{method.replace(', last', '').replace(', ', '-').replace(' ', '-')}-{rate}-{length}draw{draw}"
    settings = {"LABELS_PER_CLASS": per_class, "DRAW": draw, "VALIDATION_IMAGES": held_out, "LEARNING_RATE": rate}
    settings |= {"ENCODER": encoder, "RUN": name + ("-held-out" if held_out else "")}
    settings |= (STARTS | BLOCKS | ADAMW)[method]
    settings |= schedule | {"WARMUP_EPOCHS": min(5, schedule["EPOCHS"] // 4)}
    folder = notebooks.run(CLASSIFICATION, **settings)
    card = read(folder / "card.json")
    done = {key: card[key] for key in ("seconds", "hardware", "commit")} | {"keras": card["versions"]["keras"]}
    return {"accuracy": read(folder / "results.json")["accuracy"]} | done


def load_encoder(trained, encoder=ENCODER):
    """The encoder from its file, or the same one with random weights."""
    model = keras.saving.load_model(ROOT / encoder / "encoder.keras")
    if trained:
        return model
    keras.utils.set_random_seed(0)
    return keras.models.clone_model(model)


def sizes(encoder):
    """The shapes of what an encoder's layers return and of their weights: heads show in the first alone."""
    layers = load_encoder(True, encoder).layers
    return [(layer.output.shape, [weight.shape for weight in layer.weights]) for layer in layers]


class Prober:
    """Linear probes on the means of the final tokens; features are computed once for each encoder."""

    def __init__(self, encoder=ENCODER):
        self.encoder = encoder
        self.tools = notebooks.definitions(PROBE)
        self.choose = notebooks.definitions(CLASSIFICATION)["choose_labelled"]
        self.data = self.tools["load_cifar10"](ROOT / "data")
        self.features = {}

    def __call__(self, method, per_class, draw, rate, held_out, schedule):
        """Accuracy in % of one probe; its seconds stay empty."""
        if method not in self.features:
            encoder = load_encoder(PROBES[method], self.encoder)
            pooled = self.tools["pooling_model"](encoder)
            most = np.unique([self.choose(self.data[1], max(SCHEDULES), d) for d in DRAWS])
            known = np.zeros((50_000, encoder.output.shape[-1]), "float32")
            known[most] = self.tools["pooled_features"](pooled, self.data[0][most])[:, -1]
            self.features[method] = known, self.tools["pooled_features"](pooled, self.data[2])[:, -1]
        known, asked = self.features[method]
        labelled = self.choose(self.data[1], per_class, draw)
        fit, valid = np.split(labelled, [len(labelled) - held_out])
        queries, answers = (known[valid], self.data[1][valid]) if held_out else (asked, self.data[3])
        schedule = {name.lower(): value for name, value in schedule.items()}
        scores = self.tools["linear_probe"](known[fit], self.data[1][fit], queries, rate, **schedule)
        return {"accuracy": self.tools["accuracy"](scores, answers), "seconds": ""}


def plans():
    """What each word on the command line measures: (labels a class, method, learning rates to choose from)."""
    found = {str(number): [(number, method, RATES[method]) for method in (*STARTS, *PROBES)] for number in SCHEDULES}
    found["blocks"] = [(50, method, RATES[method]) for method in BLOCKS]
    found["longer"] = [(number, "scratch", RATES["scratch"]) for number in (50, 500)]
    found[str(ALL)] = [(ALL, method, ALL_RATES[method]) for method in STARTS]
    few = [*((10, method) for method in STARTS), *((50, method) for method in STARTS | BLOCKS)]
    few = [(number, f"{method}, AdamW") for number, method in few]
    found["adamw"] = [(number, method, RATES[method]) for number, method in few if method in ADAMW]
    found[f"adamw-{ALL}"] = [(ALL, f"{method}, AdamW", ALL_RATES[f"{method}, AdamW"]) for method in STARTS]
    return found


def main(*words):
    """Fill the table for these words, or with few labels."""
    named = {key: value for key, _, value in (word.partition("=") for word in words) if value}
    words, encoder = [word for word in words if "=" not in word], named.pop("ENCODER", ENCODER).rstrip("/")
    if named or not set(words) <= set(plans()):
        sys.exit(
            f"{' '.join([*words, *named])!r} must be among {', '.join(plans())}; docs/labels.md says what each of them measures."
        )
    if not (ROOT / encoder / "encoder.keras").exists():
        sys.exit(f"{encoder} holds no encoder.keras: ENCODER names a folder such as {ENCODER}.")
    alike = encoder != ENCODER and sizes(encoder) == sizes(ENCODER)
    left_out = ("scratch", "scratch, AdamW", "probe, untrained") if alike else ()
    chosen = words or [*map(str, SCHEDULES), "blocks"]
    lines = {plan: [line for line in plans()[plan] if line[1] not in left_out] for plan in chosen}
    if not any(lines.values()):
        sys.exit(
            f"{' '.join(chosen)} trains from scratch, which is the same for {encoder} and {ENCODER}: leave ENCODER out."
        )
    starts = STARTS | BLOCKS | ADAMW
    for plan, wanted in lines.items():
        blocks = max((starts.get(method, {}).get("TUNED_BLOCKS", -1) for _, method, _ in wanted), default=-1)
        wrong = notebooks.too_many_blocks(encoder, blocks)
        if wrong:
            sys.exit(f'{wrong.rstrip(".")}: {plan!r} needs more, so name others, as in N="10 50 500".')
    before = len(read_csv(TABLE))
    prober = functools.cache(Prober)  # it keeps CIFAR-10 in memory, so it is made when it is asked
    for plan, wanted in lines.items():
        for per_class, method, rates in wanted:
            measure = prober(encoder) if method in PROBES else functools.partial(train, encoder=encoder)
            short, long, draws = schedules(method, per_class)
            if plan == "longer":
                long, draws = [short | {"EPOCHS": 10 * short["EPOCHS"]}], draws if per_class == 50 else draws[:1]
            held_out = min(2 * per_class, 5000)
            tries = [row(measure, method, per_class, 0, rate, held_out, short, encoder) for rate in rates]
            best = notebooks.best_rate(tries)
            for schedule in long:
                for draw in draws:
                    row(measure, method, per_class, draw, float(best), 0, schedule, encoder)
    print(
        f"{len(read_csv(TABLE)) - before} rows were added to logs/{TABLE.name}; those that were there already were not repeated."
    )


def row(measure, method, per_class, draw, rate, held_out, schedule, encoder):
    """The table's row of one run, which is done and added if it is not there yet."""
    new = {"labels_per_class": per_class, "method": method, "draw": draw, "learning_rate": rate, "held_out": held_out}
    new |= {name.lower(): value for name, value in schedule.items()}
    new["encoder"] = notebooks.sha256(ROOT / encoder / "encoder.keras")[:12]
    return notebooks.row_once(TABLE, new, lambda: measure(method, per_class, draw, rate, held_out, schedule))


if __name__ == "__main__":
    main(*sys.argv[1:])
