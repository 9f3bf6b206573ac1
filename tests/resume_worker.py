"""Train a tiny model as mae-pretraining.ipynb does: python resume_worker.py FOLDER STOP

STOP is "never", "batch" (the process kills itself in the middle of epoch 2) or "writing" (while it writes the checkpoint of epoch 2).
The model is fitted by the very statement that stands in the notebook.
"""

import ast
import os
import pathlib
import signal
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import notebooks  # noqa: E402

folder, stop = pathlib.Path(sys.argv[1]), sys.argv[2]
space = notebooks.definitions("mae-pretraining.ipynb")
keras, ops = space["keras"], space["ops"]
(fit,) = (
    node
    for source in notebooks.code_cells("mae-pretraining.ipynb")
    for node in ast.parse(source).body
    if isinstance(node, ast.If) and "model.fit" in ast.unparse(node)
)


def die():
    """No warning, no clean-up."""
    os.kill(os.getpid(), signal.SIGKILL)


class KillInBatch(keras.callbacks.Callback):
    """Kill in the middle of the second epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == 8 + 4:
            die()


keras.utils.set_random_seed(0)
encoder = space["build_encoder"](32, 8, 3, 16, 1, 2, 2, masked=True)
decoder = space["build_decoder"](16, 192, 16, 8, 1, 2, 2)
model = space["MaskedAutoencoder"](encoder, decoder, 8, 0.75, True, 0.5, 0)
model(ops.zeros((1, 32, 32, 3)))
model.compile(
    optimizer=space["build_optimizer"](model, space["warmup_cosine"](3e-3, 3, 1, 8), 0.05), jit_compile=True
)
finished = space["resume"](model, folder, 8)
print(f"finished={finished}")

log = space["HistoryFile"](folder / "history.csv")
callbacks = [log, space["Checkpoint"](folder / "checkpoint.weights.h5")]
if stop == "batch":
    callbacks.insert(0, KillInBatch())
if stop == "writing":
    save = model.save_weights

    def save_half(path):
        """Write the first half of a checkpoint and die, in epoch 2."""
        save(path)
        if int(model.optimizer.iterations) == 16:
            whole = pathlib.Path(path).read_bytes()
            pathlib.Path(path).write_bytes(whole[: len(whole) // 2])
            die()

    model.save_weights = save_half

names = {
    "x_train": space["load_cifar10"](ROOT / "data")[0][:1024],
    "x_valid": None,
    "BATCH_SIZE": 128,
    "SEED": 0,
    "EPOCHS": 3,
}
names |= {"VALIDATION_IMAGES": 0, "finished": finished, "callbacks": callbacks, "model": model}
exec(compile(ast.Module([fit], []), "fit", "exec"), space | names)
space["np"].savez(
    folder / "final.npz", *(ops.convert_to_numpy(v) for v in model.variables + model.optimizer.variables)
)
