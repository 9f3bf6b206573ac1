"""A run that is killed and started again ends with the very weights of one that was not."""

import csv
import json
import os
import pathlib
import signal
import subprocess

import notebooks
import numpy as np
import pytest
from conftest import interpreter


def train(name, folder, stop="never"):
    """Run resume_worker.py; returns its exit status and output."""
    python, backend = interpreter(name)
    folder.mkdir(exist_ok=True)
    command = [python, pathlib.Path(__file__).with_name("resume_worker.py"), folder, stop]
    done = subprocess.run(
        command, env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-3000:]
    return done.returncode, done.stdout


def losses(folder):
    """Epoch (from 0) and loss of each row of history.csv, as text; an epoch that was cut off may stand there twice."""
    rows = csv.DictReader((folder / "history.csv").read_text().splitlines())
    return [(row["epoch"], row["loss"]) for row in rows]


def assert_same_run(folder, reference):
    """Three epochs with the same losses, and the same weights, optimiser and random state at the end."""
    assert set(losses(folder)) == set(losses(reference)), (
        "an epoch that was run again differs from the first time"
    )
    assert (
        [epoch for epoch, _ in losses(reference)]
        == ["0", "1", "2"]
        == [str(n) for n in notebooks.epochs(folder / "history.csv")]
    )
    with np.load(folder / "final.npz") as ours, np.load(reference / "final.npz") as theirs:
        assert ours.files == theirs.files and len(ours.files) > 40
        assert all(np.array_equal(ours[array], theirs[array]) for array in ours.files)


@pytest.fixture(scope="module", params=["tensorflow", "jax"])
def uninterrupted(request, tmp_path_factory):
    """The name of an interpreter, and the folder of a run in it that nothing disturbed."""
    interpreter(request.param)
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert train(request.param, folder)[0] == 0
    return request.param, folder


@pytest.mark.parametrize("stop", ["batch", "writing"])
def test_killed_run_ends_as_if_it_had_not_been(uninterrupted, tmp_path, stop):
    name, reference = uninterrupted
    assert train(name, tmp_path, stop)[0] == -signal.SIGKILL
    assert (tmp_path / "partial.weights.h5").exists() == (stop == "writing")
    assert len(losses(tmp_path)) == {"batch": 1, "writing": 2}[stop], (
        "epochs written down at the moment of the kill"
    )
    status, output = train(name, tmp_path)
    assert status == 0 and "finished=1" in output

    assert_same_run(tmp_path, reference)


@pytest.mark.parametrize("epoch", [1, 2])
def test_stopped_cell_can_be_run_again(uninterrupted, tmp_path, epoch):
    name, reference = uninterrupted
    status, output = train(name, tmp_path, f"interrupt-{epoch}")
    assert status == 0 and f"finished={epoch - 1}" in output
    assert_same_run(tmp_path, reference)


def test_finished_run_is_not_trained_again(uninterrupted):
    name, folder = uninterrupted
    history, checkpoint = (
        (folder / "history.csv").read_text(),
        (folder / "checkpoint.weights.h5").read_bytes(),
    )
    status, output = train(name, folder)
    assert status == 0 and "finished=3" in output
    assert (folder / "history.csv").read_text() == history and (
        folder / "checkpoint.weights.h5"
    ).read_bytes() == checkpoint


@pytest.mark.parametrize("name", ["tensorflow", "jax"])
def test_fit_sees_the_order_of_seed_and_epoch(name, mae):
    """Threads that fetch batches ahead, and what `fit` reads before the first epoch, must not change the order."""
    python, backend = interpreter(name)
    done = subprocess.run(
        [python, pathlib.Path(__file__).with_name("order_worker.py")],
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # `fit` calls `on_epoch_end` once before it starts, so the count is one ahead
    epochs = [mae["Batches"]([np.arange(121)], 4, 1, epoch) for epoch in (6, 7)]
    expected = [batches[i][0].tolist() for batches in epochs for i in range(30)]
    assert json.loads(done.stdout.splitlines()[-1]) == expected
