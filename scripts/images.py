"""Make arrays of a folder of your own images, for the notebooks' parameter IMAGES: python scripts/images.py FOLDER SIZE

Writes data/<folder>-<size>px/: x_train.npy and x_test.npy (N, SIZE, SIZE, 1 or 3), uint8; y_train.npy and y_test.npy (N,),
int32, positions in classes.npy; images.json, what a card needs. Sub-folders are classes. About a fifth, chosen by what is in
the files, is for testing, unless the folder is split into train and test (or val). `make pretrain IMAGES=FOLDER
IMAGE_SIZE=SIZE` does this first: docs/own-images.md.
"""

import collections
import hashlib
import json
import os
import pathlib
import shutil
import sys

import numpy as np
from PIL import Image, ImageOps

from notebooks import ROOT, alone, read_if_there, sha256, write

SUFFIXES = {".png", ".jpg", ".jpeg"}
ARRAYS = "x_train", "y_train", "x_test", "y_test", "classes"
PARTS = dict.fromkeys(["train", "training"], "train")  # names of sub-folders that are no classes
PARTS |= dict.fromkeys(["test", "testing", "val", "valid", "validation"], "test")
LARGEST = 256  # pixels a side: this project is about small images


def find(folder):
    """[(path, class name, part)] of the PNG and JPEG files in a folder; exits with a sentence if that cannot be done.

    The class is "" where there are no sub-folders. The part is "train" or "test" where the folder is split, and else "".
    """
    if not folder.is_dir():
        sys.exit(f"IMAGES {folder} is no folder: name one that holds PNG or JPEG files, or sub-folders of them.")
    files = [pathlib.Path(top, name) for top, _, names in os.walk(folder, followlinks=True) for name in names]
    files = sorted(path.relative_to(folder) for path in files if path.is_file())
    files = [path for path in files if not any(part.startswith(".") for part in path.parts)]
    found = [path for path in files if path.suffix.lower() in SUFFIXES]
    other = collections.Counter(
        path.suffix.lower() or path.name for path in files if path.suffix.lower() not in SUFFIXES
    )
    if other:
        told = ", ".join(f"{count} {suffix}" for suffix, count in other.most_common(5))
        print(f"  left aside, since only PNG and JPEG files are read: {told}")
    if not found:
        sys.exit(f"IMAGES {folder} holds no PNG or JPEG file: name a folder that does.")
    tops = sorted({path.parts[0] if len(path.parts) > 1 else "" for path in found})
    parts = [PARTS.get(name.lower(), "") for name in tops]
    if len(tops) == 1 and parts[0]:
        sys.exit(
            f"IMAGES {folder} holds {tops[0]} alone: name {folder / tops[0]}, or put images to test with beside it."
        )
    own = all(parts)
    if own and sorted(parts) != ["test", "train"]:
        sys.exit(
            f"IMAGES {folder} is split into {' and '.join(tops)}: leave one of them to learn from and one to test with."
        )
    for i, path in enumerate(found):
        part, *above = path.parts[:-1] if own else ("", *path.parts[:-1])
        found[i] = folder / path, above[0] if above else "", PARTS.get(part.lower(), "")
    names = {name for _, name, _ in found}
    if "" in names and len(names) > 1:
        sys.exit(
            f"IMAGES {folder} holds images beside its sub-folders: give those a sub-folder, too, or take them out."
        )
    return found


def open_image(path, size):
    """A PNG or JPEG file -> uint8 (size, size, 3), the centre square, resized, on white where it is transparent, and its shorter
    side in pixels before; raises an exception if that fails.
    """
    with Image.open(path) as image:
        image.load()
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):  # 16 bits a pixel
            image = Image.fromarray((np.asarray(image) // 257).astype("uint8"))
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        pixels = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BICUBIC)
        return np.asarray(pixels), min(image.size)


def split(labels, digests, own):
    """Positions (labels (M,)) to train on and to test with, each in the order of the files' digests, which is random.

    `own` (M,) are the parts that the folder has, if it has any. Otherwise an image whose digest can be divided by five is for
    testing, so it stays that when others come or go, and each class has at least one image in both parts.
    """
    order = np.array(sorted(range(len(labels)), key=lambda i: digests[i]))
    if any(own):
        return [order[np.array(own)[order] == part] for part in ("train", "test")]
    held_out = np.array([int(digests[i], 16) % 5 == 0 for i in order])
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels[order] == label)
        if held_out[of_class].all() or not held_out[of_class].any():
            held_out[of_class[0]] = not held_out[of_class[0]]
    return order[~held_out], order[held_out]


def copy(images, positions, channels, path):
    """Write images[positions][..., :channels] to an .npy file, a part at a time."""
    target = np.lib.format.open_memmap(path, "w+", "uint8", (len(positions), *images.shape[1:3], channels))
    for start in range(0, len(positions), 1000):
        chosen = positions[start : start + 1000]
        target[start : start + 1000] = images[chosen][..., :channels]


def digest(target):
    """What tells the arrays in a folder from others."""
    return hashlib.sha256("".join(sha256(target / f"{name}.npy") for name in ARRAYS).encode()).hexdigest()


def prepare(folder, size):
    """The folder in data/ with the arrays of `folder`, `size` pixels a side, made unless it is there; exits with a sentence if
    that cannot be done. Files that cannot be read are skipped and named.
    """
    with alone(ROOT / "data"):
        return prepare_alone(pathlib.Path(folder).expanduser(), size)


def prepare_alone(folder, size):
    """The same, with nobody else at it; folder: a path."""
    if not 1 <= size <= LARGEST:
        sys.exit(f"IMAGE_SIZE {size} must be from 1 to {LARGEST} pixels: all this is about small images.")
    found = find(folder)
    listing = [[str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime] for path, *_ in found]
    listing = hashlib.sha256(json.dumps(listing).encode()).hexdigest()
    target = ROOT / "data" / f"{folder.resolve().name}-{size}px"
    before = read_if_there(target / "images.json")
    source = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()
    if before.get("source") == source and before.get("listing") == listing:
        return target
    if target.exists() and before.get("source") != source:
        sys.exit(
            f"data/{target.name} was made from another folder than {folder}: rename {folder}, or delete data/{target.name}."
        )
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    needed, free = 2 * len(found) * 3 * size**2, shutil.disk_usage(target.parent).free  # all of them, then in two parts
    if needed > free:  # writing to a memory map would end the program without a word
        sys.exit(
            f"The arrays of {folder} need {needed / 1e9:.2f} GB in data/, and {free / 1e9:.2f} are free: make room, or lower IMAGE_SIZE."
        )
    partial.mkdir(parents=True)
    print(f"reading {len(found)} files of {folder} ...", flush=True)
    try:
        fill(partial, folder, found, size, {"source": source, "listing": listing})
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def fill(target, folder, found, size, origin):
    """Write arrays and images.json of the files `found` into the folder `target`."""
    images = np.lib.format.open_memmap(target / "all.npy", "w+", "uint8", (len(found), size, size, 3))
    kept, own, digests, skipped, grey, smallest = [], [], [], [], True, [size, ""]
    for path, name, part in found:
        try:
            image, side = open_image(path, size)
        except Exception as error:  # damaged files raise many kinds
            skipped.append(path.name)
            print(f"  skipped {path.relative_to(folder)}: {(str(error).splitlines() or ['cannot be read'])[0]}")
            continue
        images[len(kept)] = image
        kept.append(name)
        own.append(part)
        digests.append(sha256(path))
        smallest = min(smallest, [side, str(path.relative_to(folder))])
        grey = grey and (image == image[..., :1]).all()
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
    parts = dict(zip(("train", "test"), split(labels, digests, own)))
    lone = sorted(set(labels[parts["train"]]) ^ set(labels[parts["test"]]))
    if lone:
        told = f" of the class {classes[lone[0]]!r}" if classes[lone[0]] else ""
        sys.exit(
            f"IMAGES {folder} has images{told} in one of its two parts only: each needs some to learn from and to test."
        )
    twice = {digests[i] for i in parts["train"]} & {digests[i] for i in parts["test"]}
    if twice:
        print(f"  {len(twice)} images are there both to learn from and to test: take the copies out of one part")
    for part, positions in parts.items():
        copy(images, positions, 1 if grey else 3, target / f"x_{part}.npy")
        np.save(target / f"y_{part}.npy", labels[positions])
    np.save(target / "classes.npy", np.array(classes))
    (target / "all.npy").unlink()
    about = {"folder": folder.resolve().name, "size": size, "channels": 1 if grey else 3}
    about |= {"classes": classes if len(classes) > 1 else [], "skipped": skipped, **origin}
    about |= {part: len(positions) for part, positions in parts.items()}
    about |= {"smallest_class": int(np.bincount(labels[parts["train"]]).min()), "smallest": smallest}
    write(target / "images.json", about | {"sha256": digest(target)})
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
