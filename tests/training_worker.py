"""Train the notebook's model like tests/parity.py trains Hugging Face's, and print as JSON how far apart they end: python training_worker.py

The notebook's own batches, masks, model, schedule and optimiser, in its compiled `fit`. Only two things are replaced: crops are left
out, and the noise that chooses the hidden patches is that of parity.py. Prints {"losses": [...], "movements": {tensor: share}}.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "scripts"))

import hf
import notebooks
import numpy as np

space = notebooks.definitions("mae-pretraining.ipynb")
keras, ops = space["keras"], space["ops"]


class Noise(keras.layers.Layer):
    """Hands out noise (B, N) step by step, in place of a seed generator; a layer, so that the compiled step carries its counter."""

    def __init__(self, noise):
        super().__init__()
        self.noise = ops.convert_to_tensor(noise)
        self.step = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False)

    def next(self):
        noise = ops.take(self.noise, self.step, axis=0)
        self.step.assign_add(1)
        return noise


class Losses(keras.callbacks.Callback):
    """The loss of each step, from the running mean that Keras reports."""

    def on_train_begin(self, logs=None):
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        before = sum(self.losses[len(self.losses) - batch :])
        self.losses.append((batch + 1) * float(logs["loss"]) - before)


with np.load(pathlib.Path(__file__).with_name("hf_vitmae.npz")) as file:
    stored = dict(file)
start, end = hf.part(stored, "weight/"), hf.part(stored, "trained/")
records = np.fromfile(notebooks.ROOT / "data" / "cifar10-train.bin", "uint8").reshape(-1, 3073)[::390][
    :128, :-1
]
encoder = space["build_encoder"](32, 4, 3, 32, 2, 4, 2, masked=True)
decoder = space["build_decoder"](64, 48, 32, 16, 2, 4, 2)
hf.load(encoder, decoder, start)

space["random_resized_crop"] = lambda images, *_: ops.cast(images, "float32")
uniform = keras.random.uniform
keras.random.uniform = lambda shape, *args, seed=None, **kwargs: (
    seed.next() if isinstance(seed, Noise) else uniform(shape, *args, seed=seed, **kwargs)
)
model = space["MaskedAutoencoder"](encoder, decoder, 4, 16, True, 1, 0)
model.seed_generator = Noise(np.random.default_rng(1).random((32, 32, 64), dtype="float32"))
model.compile(space["build_optimizer"](model, 3e-3, 0.05, 8, 2, 4), jit_compile=True)
losses = Losses()
model.fit(
    space["Batches"]([records.reshape(-1, 32, 32, 3)], 32, 0, 0),
    epochs=8,
    callbacks=[losses],
    shuffle=False,
    verbose=0,
)
print(json.dumps({"losses": losses.losses, "movements": hf.movements(encoder, decoder, start, end)}))
