"""Several processes over loopback train as one does, and survive the death of one of them."""

import os
import shutil
import socket
import subprocess
import time

import distribute
import h5py
import notebooks
import numpy as np
import psutil
import pytest
from conftest import ROOT, interpreter

SMALL = "PATCH_SIZE=8 ENCODER_LAYERS=1 ENCODER_WIDTH=32 DECODER_LAYERS=1 DECODER_WIDTH=16 BATCH_SIZE=32 TRAIN_IMAGES=640 EPOCHS=6 WARMUP_EPOCHS=1"
WIDTHS = {32, 16}


@pytest.mark.parametrize("count", [1, 2, 4])
def test_shares_make_up_the_batch(mae, count):
    numbers = np.arange(100)
    whole = mae["Batches"]([numbers, -numbers], 8, 3, 0)
    shares = [distribute.share(mae["Batches"], i, count)([numbers, -numbers], 8, 3, 0) for i in range(count)]
    for _ in range(2):
        for i in range(len(whole)):
            parts = [part[i] for part in shares]
            assert all(len(array) == 8 // count for part in parts for array in part)
            for array, together in zip(whole[i], zip(*parts)):
                assert np.array_equal(array, np.concatenate(together))
        for batches in (whole, *shares):
            batches.on_epoch_end()


def start(run, number=0, address=None, *words):
    """The command, as one of two processes; without an address its training alone, in one."""
    python, _ = interpreter("jax")
    part = [] if address else ["worker"]
    command = [python, ROOT / "scripts" / "distribute.py", *part, f"RUN={run}", *SMALL.split(), *words]
    variables = {"JAX_PLATFORMS": "cpu", "KERAS_BACKEND": "jax"}
    if address:
        prefix = distribute.PREFIX
        variables |= {f"{prefix}JOB_ADDRESSES": address, f"{prefix}NUM_PROCESSES": "2"}
        variables[f"{prefix}PROCESS_ID"] = str(number)
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=os.environ | variables, stdout=pipe, stderr=pipe, text=True)


def start_two(run, *words):
    """Both processes of a run, which meet at a free port; the second one gets these words, too."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [start(run, number, f"127.0.0.1:{port}", *words[:number]) for number in range(2)]


def state(folder):
    """{name: array} of the last checkpoint, without the keys' biases: they change nothing, so their gradient is rounding."""
    arrays = {}
    with h5py.File(folder / "checkpoint.weights.h5") as file:
        file.visititems(lambda name, item: arrays.update({name: item[()]} if hasattr(item, "shape") else {}))
    for array in arrays.values():
        if array.ndim == 1 and array.size in {3 * width for width in WIDTHS}:
            array[array.size // 3 : 2 * array.size // 3] = 0
    return arrays


@pytest.fixture
def runs():
    """The folders of two runs, which are removed again."""
    folders = [ROOT / "runs" / f"test-distribute-{name}" for name in ("one", "two")]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    yield folders
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def test_two_processes_train_as_one_and_go_on_after_a_kill(runs, one_sentence):
    one, two = runs
    one.mkdir(parents=True)
    alone = start(one.name)
    _, error = alone.communicate(timeout=600)
    assert alone.returncode == 0, error

    both = start_two(two.name)
    deadline = time.time() + 600
    while not notebooks.epochs(two / "history.csv") and time.time() < deadline:
        time.sleep(0.05)
    (child,) = psutil.Process(both[1].pid).children()
    child.kill()
    for number, process in enumerate(both):
        _, error = process.communicate(timeout=600)
        assert process.returncode == 1 and f"Process {number} of 2 has ended early" in error
        one_sentence(error.strip().splitlines()[-1].split(": ", 1)[1])
    assert 0 < len(notebooks.epochs(two / "history.csv")) < 6 and not (two / "results.json").exists()

    for process in start_two(two.name):
        _, error = process.communicate(timeout=600)
        assert process.returncode == 0, error
    assert (two / "results.json").exists(), "the first process has run the notebook to its end"
    card = notebooks.read(two / "card.json")
    assert card["processes"] == 2 and "went_on_with" not in card, "nothing has changed on the way"
    ours, theirs = state(two), state(one)
    assert ours.keys() == theirs.keys() and len(ours) > 70
    for name, array in ours.items():
        np.testing.assert_allclose(array, theirs[name], atol=1e-5, err_msg=name)
    losses = [
        [float(row["loss"]) for row in notebooks.epochs(folder / "history.csv").values()] for folder in runs
    ]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_training_keeps_its_folder_though_the_command_dies(tmp_path, monkeypatch):
    """A second command must not train in there beside it."""
    started, run = [], subprocess.Popen

    def start_idle(command, env, pass_fds):
        started.append(run(["sleep", "60"], pass_fds=pass_fds))
        raise KeyboardInterrupt

    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(distribute, "ROOT", tmp_path)
    monkeypatch.setattr(notebooks, "provenance", lambda: {})
    monkeypatch.setattr(distribute.subprocess, "run", start_idle)
    with pytest.raises(SystemExit):
        distribute.main("RUN=a")
    folder = tmp_path / "runs" / "a"
    os.close(notebooks.HELD.pop(folder))  # what the death of this process would do
    with pytest.raises(SystemExit, match="in use"):
        notebooks.hold(folder)
    started[0].kill()
    started[0].wait()
    notebooks.hold(folder)


def test_processes_with_other_parameters_are_refused(runs, one_sentence):
    """Another seed would draw another order, and so other shares of a batch."""
    for number, process in enumerate(start_two(runs[1].name, "SEED=1")):
        _, error = process.communicate(timeout=600)
        assert process.returncode == 1, number
        sentence = error.strip().splitlines()[-1]
        one_sentence(sentence)
        assert "parameters differ" in sentence
    assert not list(runs[1].iterdir()), "a corrected command can use the folder"


@pytest.mark.parametrize(
    "settings, variables, word",
    [
        ({}, {"KERAS_BACKEND": "tensorflow"}, "KERAS_BACKEND"),
        ({"validation_images": 10}, {}, "VALIDATION_IMAGES"),
        ({}, {"KERAS_DISTRIBUTION_NUM_PROCESSES": "2", "KERAS_DISTRIBUTION_PROCESS_ID": "2"}, "PROCESS_ID"),
        ({"epochs": 0}, {}, "EPOCHS"),
        ({}, {"KERAS_DISTRIBUTION_NUM_PROCESSES": "two"}, "NUM_PROCESSES"),
    ],
    ids=["backend", "validation", "number", "settings", "no number"],
)
def test_wrong_settings(monkeypatch, one_sentence, settings, variables, word):
    for name, value in ({"KERAS_BACKEND": "jax"} | variables).items():
        monkeypatch.setenv(name, value)
    defaults = {name.lower(): value for name, value in notebooks.parameters(notebooks.PRETRAINING).items()}
    try:
        message = distribute.problem(defaults | settings)
    except SystemExit as stop:
        message = stop.code
    one_sentence(message)
    assert word in message


def test_own_images_are_refused_by_name(monkeypatch, one_sentence):
    """Before a parameter that only they have is called unknown."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(SystemExit) as stop:
        distribute.main("RUN=test-own", "IMAGES=photos", "IMAGE_SIZE=64")
    one_sentence(stop.value.code)
    assert "IMAGES must be empty here" in stop.value.code and not (ROOT / "runs" / "test-own").exists()


def test_batch_must_be_split_evenly():
    """Three devices, a batch of 32: one sentence, nothing written."""
    python, _ = interpreter("jax")
    flags = {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=3",
        "JAX_PLATFORMS": "cpu",
        "KERAS_BACKEND": "jax",
    }
    command = [python, ROOT / "scripts" / "distribute.py", "RUN=test-uneven", "BATCH_SIZE=32"]
    done = subprocess.run(command, env=os.environ | flags, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.strip().endswith(
        "BATCH_SIZE 32 must be a multiple of 3, the number of devices."
    )
    folder = ROOT / "runs" / "test-uneven"
    assert not list(folder.iterdir()), "a corrected command can use the folder"
    folder.rmdir()
