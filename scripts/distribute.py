"""Pre-train on several devices or machines, through keras.distribution on JAX; then run mae-pretraining.ipynb on what came out.

    python scripts/distribute.py [PARAMETER=VALUE ...]

One process uses all devices that it sees. For several, give this command to each, with KERAS_DISTRIBUTION_JOB_ADDRESSES
(the first one's host:port), KERAS_DISTRIBUTION_NUM_PROCESSES and KERAS_DISTRIBUTION_PROCESS_ID (0, 1, ...) in the environment,
and one folder runs/ that all can read. The batch is split, everything else stays: masks, crops, order and learning rate are
those of one device. A run that was cut off goes on when all get the command again.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("KERAS_BACKEND", "jax")
PREFIX, REFUSED, TOLD = "KERAS_DISTRIBUTION_", 2, 3

import notebooks  # noqa: E402
from notebooks import PRETRAINING, ROOT  # noqa: E402


def place():
    """(this process's number, how many there are), from the environment; exits with a sentence if they are no numbers."""
    number, count = (
        os.environ.get(f"{PREFIX}{name}", default) for name, default in (("PROCESS_ID", "0"), ("NUM_PROCESSES", "1"))
    )
    if not (number.isdecimal() and count.isdecimal()):
        sys.exit(f"{PREFIX}PROCESS_ID is {number!r} and {PREFIX}NUM_PROCESSES {count!r}: both must be whole numbers.")
    return int(number), int(count)


def share(batches, number, count):
    """The class `batches`, the notebook's Batches, changed: of each batch it reads the share of process `number` of `count`."""

    class Share(batches):
        def __getitem__(self, index):
            order, size = self.order, self.batch_size
            start = index * size + number * size // count
            return tuple(array[order[start : start + size // count]] for array in self.arrays)

    return Share


def problem(settings):
    """What keeps these settings (lower-case names) from being trained here, in one sentence; None if nothing does."""
    number, count = place()
    if os.environ["KERAS_BACKEND"] != "jax":
        return "Several devices are used through JAX: set KERAS_BACKEND to jax, or leave it out."
    if not 0 <= number < count:
        return f"{PREFIX}PROCESS_ID is {number} and must be from 0 to {count - 1}, one below {PREFIX}NUM_PROCESSES."
    if settings["images"] or "image_size" in settings:
        return "IMAGES must be empty here: your own images are trained on with one device, with `make pretrain`."
    if settings["validation_images"]:
        return "VALIDATION_IMAGES must be 0 here: choose settings on one device, with `make pretrain`."
    if settings["wandb"]:
        return "WANDB must be False here: only `make pretrain` writes to Weights & Biases."
    return notebooks.problem(settings)


def worker(settings):
    """Train, with the notebook's settings, as process `place()`."""
    import keras
    from jax.experimental.multihost_utils import sync_global_devices

    from training import prepare, train

    number, count = place()
    if count > 1:
        keras.distribution.initialize()
    devices, size = keras.distribution.list_devices(), settings["BATCH_SIZE"]
    if size % len(devices):
        print(f"BATCH_SIZE {size} must be a multiple of {len(devices)}, the number of devices.", file=sys.stderr)
        os._exit(REFUSED)  # without waiting for the others, who find the same
    try:
        sync_global_devices(str(sorted(settings.items())))
    except AssertionError:
        print("The parameters differ between processes: give all of them the same.", file=sys.stderr)
        os._exit(REFUSED)
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    scratch, folder = tempfile.TemporaryDirectory(), ROOT / "runs" / settings["RUN"]

    def change(n):
        n["Batches"] = share(n["Batches"], number, count)
        if number:  # all take part in saving, but only the first one's file counts
            save = n["save_checkpoint"]
            n["save_checkpoint"] = lambda model, path: save(model, pathlib.Path(scratch.name, path.name))

    n, (images, *_), model, _ = prepare(settings, change)
    train(n, model, images, None, settings, folder, number == 0, lambda: sync_global_devices("first checkpoint"))
    sync_global_devices("last epoch")


def main(*words):
    """The command line: train in a process of its own, which can die, then run the notebook in the first one."""
    values = notebooks.parse(words, notebooks.parameters(PRETRAINING) | {"IMAGE_SIZE": 0})
    settings = {name.lower(): value for name, value in (notebooks.parameters(PRETRAINING) | values).items()}
    wrong, (number, count) = problem(settings), place()
    if wrong:
        sys.exit(wrong)
    folder, new = ROOT / "runs" / settings["run"], False
    if number == 0:
        new = not (folder / "settings.json").exists()
        notebooks.open_run(folder, settings, processes=count)
    print(f"training process {number} of {count}, into runs/{folder.name}/", flush=True)
    command = [sys.executable, __file__, "worker", *words]
    try:
        locks = tuple(notebooks.HELD.values())  # kept as long as the training lives, also if this process dies
        status = subprocess.run(command, env=notebooks.environment(), pass_fds=locks).returncode
    except KeyboardInterrupt:
        sys.exit("Stopped; the same command, given to all processes, goes on from the last finished epoch.")
    if status == REFUSED:
        if new:  # so that the corrected command can use the folder
            (folder / "settings.json").unlink()
            (folder / "provenance.json").unlink()
        sys.exit(1)
    if status == TOLD:
        sys.exit(1)
    if status:
        sys.exit(
            f"Process {number} of {count} has ended early, by its own fault or since another one has (its last words stand above): "
            "give the command to all of them again, and training goes on from the last finished epoch."
        )
    if number == 0:
        notebooks.run(PRETRAINING, processes=count, **values)
        print(f"done: the executed notebook and its results are in runs/{folder.name}/")


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        defaults = notebooks.parameters(PRETRAINING)
        try:
            worker(defaults | notebooks.parse(sys.argv[2:], defaults))
        except SystemExit as stop:  # its sentence says all: the command would end so again
            print(stop.code, file=sys.stderr, flush=True)
            os._exit(TOLD)
        except Exception as error:
            told = (str(error).splitlines() or ["no message"])[0]
            print(f"{type(error).__name__}: {told}", file=sys.stderr, flush=True)
            os._exit(1)  # without waiting for processes that are gone
    else:
        main(*sys.argv[1:])
