"""What all tests share: the notebooks' definitions, a small model, and the interpreters to test with."""

import os
import pathlib
import re
import sys
import tempfile

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")
ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "ablations")]

import notebooks  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402


def pytest_configure(config):
    """Programs that XLA has compiled are kept until the tests end: many processes here compile the same ones.

    pytest-xdist's workers have "workerinput", and the environment of the process that starts them.
    """
    if not hasattr(config, "workerinput"):
        config.compiled = tempfile.TemporaryDirectory()
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", config.compiled.name)
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
        os.environ.setdefault("TF_XLA_FLAGS", f"--tf_xla_persistent_cache_directory={config.compiled.name}")


def pytest_unconfigure(config):
    """Remove them."""
    if hasattr(config, "compiled"):
        config.compiled.cleanup()


@pytest.fixture(scope="session")
def mae():
    """Functions and classes of mae-pretraining.ipynb, by name."""
    return notebooks.definitions("mae-pretraining.ipynb")


@pytest.fixture(scope="session")
def cifar10(mae):
    """The arrays of load_cifar10 on the repository's own data/."""
    return mae["load_cifar10"](ROOT / "data")


@pytest.fixture
def build_small(mae):
    """A function that builds a tiny masked autoencoder for 16 x 16 images of 16 patches, with random biases and norms too."""

    def build(mask_ratio=0.75, normalize_targets=True, crop_area=0.5, seed=3):
        encoder = mae["build_encoder"](16, 4, 3, 16, 1, 2, 2, masked=True)
        decoder = mae["build_decoder"](16, 48, 16, 8, 1, 2, 2)
        for i, part in enumerate((encoder, decoder)):
            rng = np.random.default_rng(i)
            part.set_weights([w + 0.2 * rng.standard_normal(w.shape) for w in part.get_weights()])
        num_visible = 16 - round(mask_ratio * 16)
        return mae["MaskedAutoencoder"](encoder, decoder, 4, num_visible, normalize_targets, crop_area, seed)

    return build


@pytest.fixture
def images():
    """Eight random images of 16 x 16 pixels, float32 with values 0-255."""
    return np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3)).astype("float32")


@pytest.fixture
def one_sentence():
    """A function that fails unless an error message is one sentence, apart from a cause that is quoted in brackets."""

    def check(message):
        message = re.sub(r" \(.*\)", "", message)
        assert message.endswith(".") and "\n" not in message and not re.search(r"[.!?] ", message), (
            f"not one sentence: {message!r}"
        )

    return check


def interpreter(name):
    """(python, backend) to run something outside this process: "tensorflow" is this one, the environment names the others."""
    if name == "tensorflow":
        return sys.executable, "tensorflow"
    variable = f"{name.upper()}_PYTHON"
    if not os.environ.get(variable):
        pytest.skip(
            f"{variable} is not set: it names a Python that has "
            + {"jax": "JAX", "torch": "PyTorch", "colab": "the versions that Colab has"}[name]
        )
    return str(ROOT / os.environ[variable]), {"colab": "tensorflow"}.get(name, name)
