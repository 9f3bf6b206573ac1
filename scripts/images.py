"""Make arrays of a folder of your own images, for the notebooks' parameter IMAGES: python scripts/images.py FOLDER SIZE

Writes data/<folder>-<size>px/: x_train.npy and x_test.npy (N, SIZE, SIZE, 1 or 3), uint8; y_train.npy and y_test.npy (N,),
int32, positions in classes.npy; images.json, what a card needs. Sub-folders are classes. A fifth of each class, or of all,
drawn once, is for testing. `make pretrain IMAGES=FOLDER IMAGE_SIZE=SIZE` does this first: docs/own-images.md.
"""

import collections
import hashlib
import json
import pathlib
import shutil
import sys

import numpy as np
from PIL import Image, ImageOps

from notebooks import ROOT, read, sha256, write

SUFFIXES = {".png", ".jpg", ".jpeg"}
ARRAYS = "x_train", "y_train", "x_test", "y_test", "classes"


def find(folder):
    """[(path, class name)] of the PNG and JPEG files in a folder, "" where there are no sub-folders; exits with a sentence if there are none."""
    if not folder.is_dir():
        sys.exit(f"IMAGES {folder} is no folder: name one that holds PNG or JPEG files, or sub-folders of them.")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    found = [(path, path.relative_to(folder).parts[0] if path.parent != folder else "") for path in paths]
    names = {name for _, name in found}
    if not found:
        sys.exit(f"IMAGES {folder} holds no PNG or JPEG file: name a folder that does.")
    if "" in names and len(names) > 1:
        sys.exit(
            f"IMAGES {folder} holds images beside its sub-folders: give those a sub-folder, too, or take them out."
        )
    return found


def open_image(path, size):
    """A PNG or JPEG file -> uint8 (size, size, 3), the centre square, resized, and its shorter side in pixels before; raises
    OSError, ValueError or SyntaxError if that fails.
    """
    with Image.open(path) as image:
        image.load()
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):  # 16 bits a pixel
            image = Image.fromarray((np.asarray(image) // 257).astype("uint8"))
        pixels = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BICUBIC)
        return np.asarray(pixels), min(image.size)


def split(labels):
    """Positions (labels (M,)) to train on and to test with, each in random order: a fifth of each class, at least one, is for testing."""
    order = np.random.RandomState(0).permutation(len(labels))
    of_class = [order[labels[order] == label] for label in np.unique(labels)]
    tested = np.concatenate([positions[: max(1, len(positions) // 5)] for positions in of_class])
    held_out = np.isin(order, tested)
    return order[~held_out], order[held_out]


def copy(images, positions, channels, path):
    """Write images[positions][..., :channels] to an .npy file, a part at a time."""
    target = np.lib.format.open_memmap(path, "w+", "uint8", (len(positions), *images.shape[1:3], channels))
    for start in range(0, len(positions), 1000):
        chosen = positions[start : start + 1000]
        target[start : start + 1000] = images[chosen][..., :channels]


def prepare(folder, size):
    """The folder in data/ with the arrays of `folder`, `size` pixels a side, made unless it is there; exits with a sentence if
    that cannot be done. Files that cannot be read are skipped and named.
    """
    folder = pathlib.Path(folder)
    if not 1 <= size <= 1024:
        sys.exit(f"IMAGE_SIZE {size} must be from 1 to 1024 pixels.")
    found = find(folder)
    listing = [[str(path.resolve()), path.stat().st_size, path.stat().st_mtime] for path, _ in found]
    listing = hashlib.sha256(json.dumps(listing).encode()).hexdigest()
    target = ROOT / "data" / f"{folder.resolve().name}-{size}px"
    if (target / "images.json").exists() and read(target / "images.json")["listing"] == listing:
        return target
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    print(f"reading {len(found)} files of {folder} ...", flush=True)
    try:
        fill(partial, folder, found, size, listing)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def fill(target, folder, found, size, listing):
    """Write arrays and images.json of the files `found` into the folder `target`."""
    images = np.lib.format.open_memmap(target / "all.npy", "w+", "uint8", (len(found), size, size, 3))
    kept, skipped, grey, smallest = [], [], True, [size, ""]
    for path, name in found:
        try:
            image, side = open_image(path, size)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            skipped.append(path.name)
            print(f"  skipped {path.relative_to(folder)}: {(str(error).splitlines() or ['cannot be read'])[0]}")
            continue
        images[len(kept)] = image
        kept.append(name)
        smallest = min(smallest, [side, str(path.relative_to(folder))])
        grey = grey and np.array_equal(image[..., :1] + np.zeros_like(image), image)
    counts = collections.Counter(kept)
    few = [name for name, count in sorted(counts.items()) if count < 2]
    if len(kept) < 2:
        sys.exit(
            f"IMAGES {folder} holds {len(kept)} images that can be read, {len(skipped)} skipped: two are the least."
        )
    if few:
        sys.exit(
            f"IMAGES {folder} has a single image of the class {few[0]!r}: it needs one to learn from and one to test."
        )
    classes = sorted(counts)
    labels = np.array([classes.index(name) for name in kept], "int32")
    parts = dict(zip(("train", "test"), split(labels)))
    for part, positions in parts.items():
        copy(images, positions, 1 if grey else 3, target / f"x_{part}.npy")
        np.save(target / f"y_{part}.npy", labels[positions])
    np.save(target / "classes.npy", np.array(classes))
    (target / "all.npy").unlink()
    digests = "".join(sha256(target / f"{name}.npy") for name in ARRAYS)
    about = {"folder": folder.resolve().name, "size": size, "channels": 1 if grey else 3}
    about |= {"classes": classes if len(classes) > 1 else [], "skipped": skipped, "listing": listing}
    about |= {part: len(positions) for part, positions in parts.items()}
    about |= {"smallest_class": int(np.bincount(labels[parts["train"]]).min()), "smallest": smallest}
    write(target / "images.json", about | {"sha256": hashlib.sha256(digests.encode()).hexdigest()})
    sort = f"{len(classes)} classes" if len(classes) > 1 else "no classes"
    colour = "grey" if grey else "colour"
    print(f"{len(kept)} {colour} images of {size} x {size} pixels, {sort}, {len(skipped)} files skipped", flush=True)


def main(*words):
    """The command line."""
    if len(words) != 2 or not words[1].isdecimal():
        sys.exit(
            "Name a folder of images and the pixels a side that they shall have: python scripts/images.py photos 64."
        )
    print(f"IMAGES={prepare(words[0], int(words[1])).relative_to(ROOT)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
