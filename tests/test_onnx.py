"""`make export`: what it needs, and GELU as ONNX can say it. The files themselves are compared as they are written."""

import subprocess
import sys

import export
import keras
import numpy as np
import pytest
from conftest import ROOT
from keras import ops


@pytest.mark.parametrize(
    "words", [("",), ("weights/no-such",), ("docs",), ("weights/classifier-6-scratch-57ep",)]
)
def test_wrong_folders_get_one_sentence(words, tmp_path, one_sentence):
    with pytest.raises(SystemExit) as stop:
        export.main(*words, str(tmp_path / "new"))
    one_sentence(str(stop.value))
    assert not (tmp_path / "new").exists()


def test_site_replaces_nothing_but_a_site(tmp_path, one_sentence):
    (tmp_path / "notes.txt").write_text("mine")
    command = [sys.executable, ROOT / "scripts" / "site.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode
    one_sentence(done.stderr.strip().splitlines()[-1])
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_gelu_is_keras_exact_one():
    x = np.linspace(-6, 6, 101, dtype="float32")
    np.testing.assert_allclose(np.array(export.gelu(x)), np.array(keras.activations.gelu(x)), atol=1e-6)


def test_painter_is_masked_encoder_and_decoder_joined():
    """The released 6 & 2 model: order of the visible patches does not matter to what is painted where."""
    folder = ROOT / "weights" / "mae-6x2-mask75-100ep"
    encoder, decoder = (keras.saving.load_model(folder / f"{name}.keras") for name in ("encoder", "decoder"))
    model = export.painter(encoder, decoder, export.notebooks.read(folder / "card.json")["settings"])
    images, keep, restore = export.some_inputs(model, visible=2).values()
    swapped = np.where(restore < 2, 1 - restore, restore)
    first, second = (
        np.array(model([ops.convert_to_tensor(x) for x in (images, *ids)]))
        for ids in ((keep, restore), (keep[:, ::-1].copy(), swapped))
    )
    assert first.shape == (2, 64, 48)
    np.testing.assert_allclose(first, second, atol=1e-4)
