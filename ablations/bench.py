"""How fast is it? Beside Hugging Face's ViTMAE on PyTorch, and the machine's own ceiling: `make bench`, on an idle machine.

    python ablations/bench.py

Every contender is a process of its own, which trains the 6 & 2 model on batches of 256 for 40 steps whenever it is asked.
They take turns, so that what slows the machine slows all. Writes logs/bench/<cpu or gpu>.json. To compare a try of
variants.py, too, add its name to TRIES.
"""

import json
import os
import statistics
import subprocess
import sys
import time
import types

from ablate import ROOT, TRY, notebooks, prepare
from variants import PAPER, VARIANTS

STEPS, BATCH, ROUNDS = 40, 256, 3


def without_attention(n):
    """Query, key and value are added up; no token sees another."""

    def attention(tokens, heads, name):
        x = n["linear"](tokens, 3 * tokens.shape[-1], f"{name}_query_key_value")
        x = x[..., : tokens.shape[-1]] + x[..., tokens.shape[-1] : -tokens.shape[-1]] + x[..., -tokens.shape[-1] :]
        return n["linear"](x, tokens.shape[-1], f"{name}_output")

    n["attention"] = attention


def without_norms(n):
    """Layer norms do nothing."""
    layers = vars(n["layers"]) | {"LayerNormalization": lambda epsilon, name: n["layers"].Identity(name=name)}
    n["layers"] = types.SimpleNamespace(**layers)


def without_gelu(n):
    """The MLP's first layer has no activation."""
    linear = n["linear"]
    n["linear"] = lambda tokens, width, name, activation=None: linear(tokens, width, name)


def without_crops(n):
    """Whole images."""
    n["random_resized_crop"] = lambda images, *_: n["ops"].cast(images, "float32")


def without_adamw(n):
    """Plain gradient descent."""
    n["build_optimizer"] = lambda *_: n["keras"].optimizers.SGD(1e-4)


def in_bfloat16(n):
    """Mixed precision: layers compute in bfloat16, on float32 weights; the loss is float32."""
    n["keras"].config.set_dtype_policy("mixed_bfloat16")
    error = n["masked_error"]
    n["masked_error"] = lambda *values: error(*(n["ops"].cast(value, "float32") for value in values))


BACKENDS = {".venv": "tensorflow", ".venv-jax": "jax", ".venv-torch": "torch"}
LEFT_OUT = {  # each once, to see what it costs
    "without attention": without_attention,
    "without norms": without_norms,
    "without GELU": without_gelu,
    "without crops": without_crops,
    "without AdamW": without_adamw,
}
CHANGES = LEFT_OUT | {"bfloat16": in_bfloat16}  # of the paper's model
TRIES = ("base", "adamw", "paper-part-50", "paper-cross-50")
CONTENDERS = {  # name: environment, worker, what it is told
    "this project, TensorFlow": (".venv", "ours", "paper"),
    "this project, JAX": (".venv-jax", "ours", "paper"),
    "Hugging Face ViTMAE, PyTorch": (".venv-torch", "theirs", "eager"),
    "Hugging Face ViTMAE, PyTorch compiled": (".venv-torch", "theirs", "compiled"),
    "this project, TensorFlow, bfloat16": (".venv", "ours", "bfloat16"),
    "Hugging Face ViTMAE, PyTorch, bfloat16": (".venv-torch", "theirs", "bfloat16"),
    **{name: (".venv", "ours", name) for name in (*LEFT_OUT, *TRIES)},
}
SETTINGS = {  # so that contenders can share one GPU, and compile anew
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",
}


def ours(name):
    """A function that trains the notebook's model for some steps, on any backend, as a try or with one of CHANGES."""
    settings, change = (PAPER, CHANGES[name]) if name in CHANGES else (VARIANTS[name].settings, VARIANTS[name].change)
    s = notebooks.parameters(notebooks.PRETRAINING) | TRY | settings
    n, (images, *_), model, _ = prepare(s, change)
    model.compile(n["build_optimizer"](model, 3e-3, 0.05, 100, 5, 195, s["MUON"]), jit_compile=True)

    def train(steps):
        some = images[: max(steps * BATCH, s["BATCH_SIZE"])]  # a try may have another batch size
        model.fit(n["Batches"]([some], s["BATCH_SIZE"], 0, 0), shuffle=False, verbose=0)

    return train


def theirs(how):
    """A function that trains Hugging Face's ViTMAE of the same sizes on shuffled images without crops: eager, compiled, or eager with mixed bfloat16."""
    import numpy as np
    import torch
    from transformers import ViTMAEConfig, ViTMAEForPreTraining

    p = notebooks.parameters(notebooks.PRETRAINING)
    config = {"image_size": 32, "patch_size": p["PATCH_SIZE"], "mask_ratio": p["MASK_RATIO"], "norm_pix_loss": True}
    for part, prefix in (("ENCODER", ""), ("DECODER", "decoder_")):
        config[f"{prefix}hidden_size"] = p[f"{part}_WIDTH"]
        config[f"{prefix}num_hidden_layers"] = p[f"{part}_LAYERS"]
        config[f"{prefix}num_attention_heads"] = p[f"{part}_HEADS"]
        config[f"{prefix}intermediate_size"] = p[f"{part}_WIDTH"] * p["MLP_RATIO"]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = ViTMAEForPreTraining(ViTMAEConfig(**config)).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, betas=(0.9, 0.95), weight_decay=0.05)
    call = torch.compile(model) if how == "compiled" else model
    records = np.fromfile(ROOT / "data" / "cifar10-train.bin", "uint8").reshape(-1, 3073)
    images = torch.from_numpy(records[:, :-1].reshape(-1, 32, 32, 3).copy()).permute(0, 3, 1, 2)

    def train(steps):
        order = torch.randperm(steps * BATCH)
        for i in range(steps):
            batch = (images[order[i * BATCH : (i + 1) * BATCH]].to(device).float() - 120) / 64
            with torch.autocast(device, torch.bfloat16, enabled=how == "bfloat16"):
                loss = call(batch).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()

    return train


def worker(kind, how, start):
    """A contender: say how long the first step took from the start of the command, then train for each line that comes in."""
    train = {"ours": ours, "theirs": theirs}[kind](how)
    train(1)
    first, known = time.time() - float(start), ("tensorflow", "jax", "jaxlib", "torch", "transformers", "keras")
    say(first_step=first, versions={name: sys.modules[name].__version__ for name in known if name in sys.modules})
    for _ in sys.stdin:
        begin = time.perf_counter()
        train(STEPS)
        say(images_per_second=STEPS * BATCH / (time.perf_counter() - begin), megabytes=memory())


def memory():
    """The most main memory that this process has held, CIFAR-10 included, in millions of bytes (Linux; elsewhere None)."""
    try:
        with open("/proc/self/status") as file:
            return round(int(next(line for line in file if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6)
    except OSError:
        return None


def say(**facts):
    """One line of JSON to the process that listens."""
    print("\n" + json.dumps(facts), flush=True)


def hear(process):
    """The next facts that a contender says; exits if it has ended instead."""
    for line in process.stdout:
        if line.startswith("{"):
            return json.loads(line)
    sys.exit(f"The contender {' '.join(process.args[-3:-1])!r} ended early: what it wrote above says why.")


def begin(environment, kind, how):
    """The process of a contender."""
    backend = {"KERAS_BACKEND": BACKENDS[environment]}
    command = [str(ROOT / environment / "bin" / "python"), __file__, "worker", kind, how, str(time.time())]
    variables = SETTINGS | notebooks.environment() | backend
    return subprocess.Popen(command, env=variables, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def ceiling(size=4096, times=10):
    """GFLOP/s of one large float32 matrix product, the best of some."""
    import tensorflow as tf

    a, seconds = tf.random.normal((size, size)), []
    for _ in range(times):
        start = time.time()
        float(tf.matmul(a, a)[0, 0])
        seconds.append(time.time() - start)
    return round(2 * size**3 / min(seconds) / 1e9)


def work(p):
    """GFLOP of the matrix products of one image in training: two a multiply-add, three times those of the forward pass."""
    block = notebooks.definitions(notebooks.PRETRAINING, {"block_cost"})["block_cost"]
    patches, pixels = (32 // p["PATCH_SIZE"]) ** 2, 3 * p["PATCH_SIZE"] ** 2
    visible, wide, narrow = patches - round(p["MASK_RATIO"] * patches), p["ENCODER_WIDTH"], p["DECODER_WIDTH"]
    multiply_adds = visible * (pixels * wide + wide * narrow) + patches * narrow * pixels
    multiply_adds += p["ENCODER_LAYERS"] * block(visible, wide, p["MLP_RATIO"])
    multiply_adds += p["DECODER_LAYERS"] * block(patches, narrow, p["MLP_RATIO"])
    return round(6e-9 * multiply_adds, 4)


def whole_probe():
    """Seconds for the features of 60,000 images, all blocks pooled, and for one linear probe on the final tokens."""
    import keras

    p = notebooks.definitions(notebooks.PROBE)
    x_train, y_train, x_test, _ = p["load_cifar10"](ROOT / "data")
    encoder = keras.saving.load_model(ROOT / "weights" / "mae-6x2-mask75-100ep" / "encoder.keras", compile=False)
    pooled = p["pooling_model"](encoder)
    p["pooled_features"](pooled, x_test[:256])  # compiles
    times = [time.time()]
    train, test = (p["pooled_features"](pooled, images) for images in (x_train, x_test))
    times.append(time.time())
    p["linear_probe"](train[:, -1], y_train, test[:, -1])
    times.append(time.time())
    return {
        "features of 60,000 images": round(times[1] - times[0], 1),
        "one linear probe": round(times[2] - times[1], 1),
    }


def compare(contenders):
    """Let contenders {name: (environment, worker, how)} take turns; returns a row for each, in ratios to the first."""
    running, rows, heard = {}, {}, {name: [] for name in contenders}
    for name, contender in contenders.items():
        running[name] = begin(*contender)
        facts = hear(running[name])
        rows[name] = {"seconds to the first step": round(facts["first_step"], 1), "versions": facts["versions"]}
    for _ in range(ROUNDS):
        for name, process in running.items():
            process.stdin.write("train\n")
            process.stdin.flush()
            heard[name].append(hear(process))
    for name, process in running.items():
        process.communicate()
        speeds = [facts["images_per_second"] for facts in heard[name]]
        first = [facts["images_per_second"] for facts in next(iter(heard.values()))]
        ratio = statistics.median(speed / other for speed, other in zip(speeds, first))  # of the same round
        rows[name] |= {"images_per_second": round(statistics.median(speeds)), "ratio": round(ratio, 2)}
        rows[name] |= {"all rounds": [round(speed) for speed in speeds], "megabytes": heard[name][-1]["megabytes"]}
        print(f"{name}: {rows[name]}", flush=True)
    return rows


def main():
    """Measure, and write logs/bench/."""
    os.environ |= SETTINGS
    record = notebooks.provenance() | {"GFLOP/s of a large matrix product": ceiling()}
    record["seconds"] = whole_probe()
    record |= {"steps a round": STEPS, "images a step": BATCH, "contenders": compare(CONTENDERS)}
    record["GFLOP an image"] = work(notebooks.parameters(notebooks.PRETRAINING))
    folder = ROOT / "logs" / "bench"
    folder.mkdir(exist_ok=True)
    name = "gpu" if "gpu" in record["hardware"].split(";")[-1].lower() else "cpu"
    notebooks.write(folder / f"{name}.json", record)


if __name__ == "__main__":
    worker(*sys.argv[2:]) if sys.argv[1:2] == ["worker"] else main()
