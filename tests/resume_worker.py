"""Train a tiny model as mae-pretraining.ipynb does: python resume_worker.py FOLDER STOP

STOP is "never", "batch" (the process kills itself in the middle of epoch 2), "writing" (while it writes the checkpoint of epoch 2),
"interrupt-1" or "interrupt-2" (the cell is stopped in the middle of that epoch and run again, in the same process). The model is
fitted by the very statements that stand in the notebook.
"""

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
loggers, fit = (  # the cells that make the callbacks, and that fit, without what comes after
    source
    for source in notebooks.code_cells("mae-pretraining.ipynb")
    if "callbacks = [" in source or "model.fit(" in source
)


def die():
    """No warning, no clean-up."""
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt():
    """The stop button."""
    raise KeyboardInterrupt


class StopInBatch(keras.callbacks.Callback):
    """Call `stop` in the middle of an epoch, counted from 1, the first time."""

    def __init__(self, stop, epoch):
        super().__init__()
        self.stop, self.step = stop, 8 * epoch - 4

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == self.step:
            self.step = None
            self.stop()


keras.utils.set_random_seed(0)
encoder = space["build_encoder"](32, 8, 3, 16, 1, 2, 2, masked=True)
decoder = space["build_decoder"](16, 192, 16, 8, 1, 2, 2)
model = space["MaskedAutoencoder"](encoder, decoder, 8, 4, True, 0.5, 0)
model(ops.zeros((1, 32, 32, 3)))
space |= {
    "x_train": space["load_cifar10"](ROOT / "data")[0][:1024],
    "x_valid": None,
    "BATCH_SIZE": 128,
    "SEED": 0,
    "EPOCHS": 3,
    "WARMUP_EPOCHS": 1,
    "LEARNING_RATE": 6e-3,
    "WEIGHT_DECAY": 0.05,
    "MUON": True,
    "VALIDATION_IMAGES": 0,
    "WANDB": False,
    "RUN": folder.resolve(),  # absolute, so that runs/ does not matter
    "model": model,
}
exec(loggers, space)
callbacks = space["callbacks"]
if stop == "batch":
    callbacks.insert(0, StopInBatch(die, 2))
if stop.startswith("interrupt"):
    callbacks.insert(0, StopInBatch(interrupt, int(stop[-1])))
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

try:
    exec(fit, space)
except KeyboardInterrupt:
    exec(fit, space)
print(f"finished={space['finished']}")
space["np"].savez(
    folder / "final.npz", *(ops.convert_to_numpy(v) for v in model.variables + model.optimizer.variables)
)
