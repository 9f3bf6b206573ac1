"""A run that is killed and started again ends with the very weights of one that was not."""

import os
import pathlib
import signal
import subprocess

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
    """The columns epoch and loss of history.csv, as text."""
    rows = [line.split(",") for line in (folder / "history.csv").read_text().splitlines()]
    columns = [rows[0].index(name) for name in ("epoch", "loss")]
    return [[row[column] for column in columns] for row in rows]


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
    assert len(losses(tmp_path)) == {"batch": 2, "writing": 3}[stop], (
        "header and finished epochs at the moment of the kill"
    )
    status, output = train(name, tmp_path)
    assert status == 0 and "finished=1" in output

    assert losses(tmp_path) == losses(reference)
    assert [row[0] for row in losses(tmp_path)] == ["epoch", "1", "2", "3"]
    with np.load(tmp_path / "final.npz") as ours, np.load(reference / "final.npz") as theirs:
        assert ours.files == theirs.files and len(ours.files) > 40
        assert all(np.array_equal(ours[array], theirs[array]) for array in ours.files)


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
