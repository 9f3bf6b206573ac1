"""Release a run, and measure what was released.

    python scripts/release.py publish RUN [NAME]        a finished run's weights to weights/<NAME>/, its logs to logs/<NAME>/;
                                                        the probe of a released run with another seed, or with fewer
                                                        images, to logs/seeds.csv
    python scripts/release.py verify [weights/NAME ...]  measure released models again and compare with card and logs
    python scripts/release.py compare NAME NAME          the difference of two released encoders, or classifiers, on the same test images

An encoder is released in three steps: publish its run, probe weights/<NAME>, publish the probe, which adds what it measured to logs and card.
`publish` writes to weights/, logs/ and, if the code has not changed since, the notebook's outputs; the others write nothing.
"""

import base64
import csv
import hashlib
import io
import json
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

from notebooks import (
    PROBE,
    ROOT,
    code_cells,
    definitions,
    environment,
    epochs,
    read,
    read_csv,
    read_if_there,
    sha256,
    write,
)

WEIGHTS = ("encoder.keras", "decoder.keras", "classifier.keras")
LOGS = ("settings.json", "results.json", "quickstart.json", "card.json")
PICTURED = "mae-6x2-mask75-100ep"  # the README shows this run's reconstructions.png
WITHOUT_WEIGHTS = ("quickstart", "few-labels")  # they only show that everything works
TOLERANCE = 0.5  # percentage points: a probe that is trained anew on another machine rounds in another order


def publish(run="", name=""):
    """Copy what a finished run leaves: a probe's results to its encoder's logs, any other run's files to a release, `name` or RUN."""
    source = ROOT / "runs" / run
    if not run or not (source / "results.json").exists():
        sys.exit(f"runs/{run} holds no finished run: name one with `make release RUN=...`.")
    results = read(source / "results.json")
    settings = read_if_there(source / "settings.json")
    if settings.get("images"):
        sys.exit(f"runs/{run} saw images of your own, and releases are about CIFAR-10: use its files where they are.")
    if "encoder" not in results:
        publish_run(source, name or run, results)
    elif not settings:
        sys.exit(f"runs/{run} lacks settings.json: probe the encoder again with `make probe` and another RUN.")
    elif name:
        sys.exit(f"runs/{run} is a probe, whose results go to the logs of its encoder: leave AS out.")
    else:
        share_probe(results | read(source / "provenance.json"))
    for executed in source.glob("*.ipynb"):
        if give_outputs(executed, ROOT / executed.name):
            print(f"{executed.name}: now with the outputs of this run")


def publish_run(source, name, results):
    """Copy weights to weights/<name>/ and logs to logs/<name>/; of the runs in WITHOUT_WEIGHTS only the logs."""
    run, target = f"runs/{source.name}", ROOT / "logs" / name
    if not re.fullmatch(r"[\w.-]*\w", name):
        sys.exit(f"AS {name!r} must be a name without folders, such as mae-9x3-mask75-100ep.")
    ours, theirs, card = (
        read_if_there(path) for path in (source / "settings.json", target / "settings.json", source / "card.json")
    )
    if theirs and given(ours) != given(theirs):
        sys.exit(f"logs/{name} holds a run with other settings: choose another AS, or delete it and weights/{name}.")
    if results.get("measured_on", "test") != "test":
        sys.exit(f"{run} held out validation images to try settings: release a run without.")
    if not card or not ours:
        sys.exit(f"{run} lacks card.json or settings.json: give its `make` command again, which finishes it.")
    files = {file: sha256(source / file) for file in card.get("sha256", {}) if (source / file).exists()}
    if files != card.get("sha256", {}):
        sys.exit(f"{run} holds other files than its card.json says (SHA-256 differs): train it again.")
    copy(LOGS, source, target)
    if name == PICTURED:
        picture = "reconstructions.png"
        (target / picture).write_bytes(opaque((source / picture).read_bytes()))
    if name not in WITHOUT_WEIGHTS:
        weights = ROOT / "weights" / name
        copy(WEIGHTS, source, weights)
        for file in files:
            compress(weights / file)
        write(target / "card.json", card | {"sha256": {file: sha256(weights / file) for file in files}})
        write_card(name, ROOT)


def copy(names, source, target):
    """Copy the files `names`, as far as they exist, from one folder to another, and the history without repeated epochs."""
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        (target / name).unlink(missing_ok=True)  # nothing of an earlier release stays
        if (source / name).exists():
            shutil.copy2(source / name, target)
    rows = epochs(source / "history.csv") if "card.json" in names else {}
    lines = [",".join(row.values()) for row in rows.values()]
    if rows:
        (target / "history.csv").write_text("\n".join([",".join(rows[0]), *lines]) + "\n")
    print(f"{target.relative_to(ROOT)}/: {', '.join(sorted(path.name for path in target.iterdir()))}")


def compress(path):
    """Write a .keras file, a ZIP archive whose parts Keras stores as they are, in fewer bytes: the same parts, without loss."""
    partial = path.with_suffix(".partial")
    with zipfile.ZipFile(path) as stored, zipfile.ZipFile(partial, "w") as smaller:
        for name in stored.namelist():
            part = zipfile.ZipInfo(name)  # without the time of day
            data = stored.read(name)
            smaller.writestr(part, by_byte(data) if name.endswith(".h5") else data, zipfile.ZIP_DEFLATED, 9)
    partial.replace(path)


def by_byte(data):
    """The same HDF5 file, its large arrays compressed after HDF5's shuffle: first bytes, then second bytes, and so on.

    Neighbouring weights have similar exponents and dissimilar fractions, so each kind of byte packs better by itself.
    """
    import h5py  # Keras brings it

    smaller = io.BytesIO()
    file, group, access = map(h5py.h5p.create, (h5py.h5p.FILE_CREATE, h5py.h5p.GROUP_CREATE, h5py.h5p.FILE_ACCESS))
    file.set_obj_track_times(False)  # HDF5 would note the second, and equal weights would differ in their SHA-256
    group.set_obj_track_times(False)
    access.set_libver_bounds(h5py.h5f.LIBVER_LATEST, h5py.h5f.LIBVER_LATEST)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, smaller)
    made = h5py.h5f.create(b"packed", h5py.h5f.ACC_TRUNC, file, access)
    with h5py.File(io.BytesIO(data)) as stored, h5py.File(made) as target:

        def add(name, item):
            if isinstance(item, h5py.Dataset):
                packed = {"compression": "gzip", "compression_opts": 9, "shuffle": True} if item.size > 500 else {}
                target.create_dataset(name, data=item[()], **packed)
            elif name != "/":
                h5py.h5g.create(target.id, name.encode(), gcpl=group)
            target[name].attrs.update(item.attrs)

        add("/", stored)
        stored.visititems(add)
    return smaller.getvalue()


def share_probe(record, root=ROOT):
    """Write a probe's results and provenance, a dict, to logs/<encoder>/probe.json; exits, nothing written, if they do not fit."""
    images, folder = record["images"], pathlib.PurePath(record["encoder"])
    if (images["training"], images["test"]) != (50_000, 10_000):
        sys.exit(f"This probe used {images['training']} training and {images['test']} test images: run it on all.")
    if images["of these validation"] != 5000:
        sys.exit(
            f"This probe chose its settings on {images['of these validation']} held-out images, the others on 5,000: run it without VALIDATION_IMAGES."
        )
    if not folder.is_relative_to("weights"):
        return share_seed(record, root)
    log, file = root / "logs" / folder.name, root / folder / "encoder.keras"
    if not (log / "card.json").exists():
        sys.exit(f"logs/{folder.name} holds no card.json: release that encoder's run first.")
    if not read(log / "card.json")["sha256"]["encoder.keras"] == record["sha256"] == sha256(file):
        sys.exit(f"The probe measured another encoder than the one in {folder}: run it again.")
    seed = read(log / "card.json")["settings"]["seed"]
    if record["seed"] != seed:
        sys.exit(
            f"This probe has seed {record['seed']} and its encoder {seed}, so the untrained one is that of another seed: probe it with SEED={seed}."
        )
    write(log / "probe.json", record)
    write_card(folder.name, root)


def share_seed(record, root=ROOT):
    """Write the probe of an encoder in runs/ to logs/seeds.csv; exits if its run is not a released one with another seed or
    another number of training images.
    """
    folder = root / record["encoder"]
    ours, card = (read_if_there(folder / f"{name}.json") for name in ("settings", "card"))
    images = {"train_images": ours.get("train_images")}
    twins = [
        path
        for path in sorted(root.glob("logs/*/settings.json"))
        if fingerprint(read(path) | images) == fingerprint(ours)
    ]
    if not twins or given(read(twins[0])) == given(ours) or card["sha256"]["encoder.keras"] != record["sha256"]:
        sys.exit(
            f"This probe measured {record['encoder']}, which is no other seed of a released run, nor one with fewer images: release that encoder, then probe weights/<name>."
        )
    if record["seed"] != ours["seed"]:
        sys.exit(
            f"This probe has seed {record['seed']} and its encoder {ours['seed']}, so the untrained one is that of another seed: probe it with SEED={ours['seed']}."
        )
    row = {"run": twins[0].parent.name, "settings": fingerprint(ours), **images, "seed": ours["seed"]}
    for test, states in record["test"].items():
        for column, found in ((test, states["trained"]), (f"{test}, untrained", states["untrained"])):
            row[column] = found["accuracy"]
            if "learning_rate" in found:  # neighbours learn nothing
                row[f"{column}, learning rate"] = found["learning_rate"]
    row |= {"loss": card["loss"]["loss"], "seconds": card["seconds"], "hardware": card["hardware"]}
    row |= {"keras": card["versions"]["keras"], "commit": card["commit"], "sha256": card["sha256"]["encoder.keras"]}
    table = root / "logs" / "seeds.csv"
    same = [row["run"], str(row["train_images"]), str(row["seed"])]
    kept = [old for old in read_csv(table) if [old["run"], old["train_images"], old["seed"]] != same]
    with open(table.with_suffix(".partial"), "w", newline="") as file:
        writer = csv.DictWriter(file, row, lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            sorted([*kept, row], key=lambda row: (row["run"], -int(row["train_images"]), int(row["seed"])))
        )
    table.with_suffix(".partial").replace(table)
    print(f"logs/{table.name}: {row['run']}, {row['train_images']} images, seed {row['seed']}")


def given(settings):
    """The settings that decide what a run becomes: without its name, and without those that are empty."""
    return {key: value for key, value in settings.items() if key != "run" and value != ""}


def fingerprint(settings):
    """A short name for settings, the same for all seeds and folders."""
    rest = {key: value for key, value in sorted(given(settings).items()) if key != "seed"}
    return hashlib.sha256(json.dumps(rest).encode()).hexdigest()[:12]


def write_card(name, root=ROOT):
    """weights/<name>/card.json: the run's own card, and what was measured with these weights."""
    logs = root / "logs" / name
    card = read(logs / "card.json")
    if "classifier.keras" in card["sha256"]:
        card["results"] = read(logs / "results.json")
    elif (logs / "probe.json").exists():
        probe = read(logs / "probe.json")
        if probe["sha256"] == card["sha256"]["encoder.keras"]:  # not that of an earlier release
            card["results"] = probe["test"]
    write(root / "weights" / name / "card.json", card)


def give_outputs(executed, notebook):
    """Put outputs and title picture of an executed notebook into `notebook`, if their code is the same; returns whether it was."""
    if not notebook.exists() or code_cells(executed) != code_cells(notebook):
        return False
    ours, theirs = read(notebook), read(executed)
    code = ([cell for cell in nb["cells"] if cell["cell_type"] == "code"] for nb in (ours, theirs))
    for mine, run in zip(*code):
        mine["outputs"], mine["execution_count"] = run["outputs"], run["execution_count"]
        for shown in (output["data"] for output in mine["outputs"] if "image/png" in output.get("data", ())):
            shown["image/png"] = text(opaque(base64.b64decode(shown["image/png"])))
    for attachments in (cell["attachments"] for cell in ours["cells"] if "attachments" in cell):
        for name in (name for name in attachments if executed.with_name(name).exists()):
            attachments[name] = {"image/png": text(opaque(executed.with_name(name).read_bytes()))}
    write(notebook, ours, ensure_ascii=False)
    return True


def text(picture):
    """A picture's bytes as they stand in a notebook."""
    return base64.b64encode(picture).decode()


def opaque(picture):
    """The same PNG in fewer bytes: matplotlib gives every pixel an opacity, and all are opaque. Others stay as they are."""
    from PIL import Image  # here, because `make address` needs no packages

    image, smaller = Image.open(io.BytesIO(picture)), io.BytesIO()
    if image.mode != "RGBA" or image.getextrema()[3] != (255, 255):
        return picture
    image.convert("RGB").save(smaller, "PNG", optimize=True)
    return smaller.getvalue()


def answers(folder, arrays):
    """{test: right or wrong for each test image} of the model in `folder`, at the settings in its card; arrays as from load_cifar10."""
    import keras
    import numpy as np

    tools, (x_train, y_train, x_test, y_test) = definitions(PROBE), arrays
    if (folder / "classifier.keras").exists():
        logits = keras.saving.load_model(folder / "classifier.keras").predict(x_test, batch_size=500, verbose=0)
        return {"accuracy": logits.argmax(axis=1) == y_test}
    chosen = read(folder / "card.json")["results"]
    pooled = tools["pooling_model"](keras.saving.load_model(folder / "encoder.keras"))
    train, test = (tools["pooled_features"](pooled, images) for images in (x_train, x_test))  # (M, L+1, D)
    views = {
        "probe, final tokens": [x[:, -1] for x in (train, test)],
        "probe, all blocks": [x[:, :-1].reshape(len(x), -1) for x in (train, test)],
    }
    scores = {
        name: tools["linear_probe"](x, y_train, x_new, chosen[name]["trained"]["learning_rate"])
        for name, (x, x_new) in views.items()
    }
    k, temperature = (chosen["neighbours"]["trained"][name] for name in ("k", "temperature"))
    similarities, found = tools["neighbours"](train[:, -1], test[:, -1], k)
    scores["neighbours"] = tools["vote"](similarities, y_train[found], temperature)
    return {name: np.argmax(score, axis=1) == y_test for name, score in scores.items()}


def measured(folder):
    """`answers` from a process of its own; None if that failed."""
    code = "import release, data, json, pathlib, sys; print(json.dumps({k: v.tolist() for k, v in "
    code += "release.answers(pathlib.Path(sys.argv[1]), data.load(release.ROOT / 'data')).items()}))"
    command = [sys.executable, "-c", code, folder]
    scripts = {"PYTHONPATH": str(ROOT / "scripts")}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment() | scripts)
    return None if done.returncode else json.loads(done.stdout.splitlines()[-1])


def stated(card):
    """{test: accuracy in %} that a card states."""
    results = card["results"]
    if "accuracy" in results:
        return {"accuracy": results["accuracy"]}
    return {test: states["trained"]["accuracy"] for test, states in results.items()}


def logged(folder, root=ROOT):
    """What logs/ says was measured with the model in `folder`, as the card should repeat it; None if it says nothing."""
    classifier = (folder / "classifier.keras").exists()
    path = root / "logs" / folder.name / ("results.json" if classifier else "probe.json")
    if not path.exists():
        return None
    return read(path) if classifier else read(path)["test"]


def damaged(folder, root=ROOT):
    """What is wrong with the files in `folder`, in one sentence; an empty string if they are those of the card."""
    try:
        card = read(folder / "card.json")
        wrong = [name for name, digest in card["sha256"].items() if sha256(folder / name) != digest]
    except (OSError, ValueError, KeyError) as error:
        return f"{folder.name}: a file is missing or card.json cannot be read ({error}): check the folder out again."
    if wrong:
        return f"{folder.name}: {', '.join(wrong)} differs from the SHA-256 in card.json: check it out again."
    if "results" not in card or card["results"] != logged(folder, root):
        return f"{folder.name}: card.json does not state the results in logs/: run `make probe` on it, then `make release` on that run."
    return ""


def check(name, measured, card):
    """Lines to print and whether all is well: measured and card are {test: accuracy in %}."""
    lines, well = [], set(measured) == set(card)
    if not well:
        lines.append(f"{name}: card.json states other tests: {', '.join(card)}")
    for test, value in measured.items():
        near = abs(value - card.get(test, -100)) <= TOLERANCE
        well = well and near
        verdict = "ok" if near else f"DIFFERS by more than {TOLERANCE}"
        lines.append(f"{name:32}{test:22}{value:6.2f} measured,{card.get(test, float('nan')):6.2f} stated: {verdict}")
    return lines, well


def verify(*words):
    """Verify the folders named, or all; exits with 1 if one does not hold what it promises."""
    names = {path.name for path in ROOT.glob("weights/*") if path.is_dir()}
    names |= {path.parent.name for path in ROOT.glob("logs/*/probe.json")}  # what the README's table shows
    folders = [pathlib.Path(word).resolve() for word in words] or [ROOT / "weights" / name for name in sorted(names)]
    well = bool(folders)
    for folder in folders:
        problem = damaged(folder)
        right = None if problem else measured(folder)
        if problem or right is None:
            print(problem or f"{folder.name}: could not be measured, see above.")
            well = False
            continue
        accuracies = {test: 100 * sum(answer) / len(answer) for test, answer in right.items()}
        lines, fine = check(folder.name, accuracies, stated(read(folder / "card.json")))
        print("\n".join(lines), flush=True)
        well = well and fine
    verdict = "all as stated" if well else "NOT as stated"
    print(f"{len(folders)} released models, tolerance {TOLERANCE} points: {verdict}")
    sys.exit(not well)


def paired_difference(first, second):
    """The second's lead over the first and its margin (95 %), in points of accuracy; both: right or wrong by image (T,)."""
    import numpy as np

    gain = 100.0 * (np.asarray(second, int) - np.asarray(first, int))  # for each image -100, 0 or 100
    return round(float(gain.mean()), 2), round(float(1.96 * gain.std() / len(gain) ** 0.5), 2)


def compare(*names):
    """Print the difference of two released encoders, or classifiers, test by test."""
    folders = [ROOT / "weights" / pathlib.PurePath(name).name for name in names]
    wrong = [sentence for sentence in map(damaged, folders) if sentence]
    if len(names) != 2 or wrong:
        sys.exit(
            wrong[0] if wrong else 'Name two released encoders, or two classifiers: make compare ENCODERS="NAME NAME".'
        )
    before, after = map(measured, folders)
    if not before or not after or set(before) != set(after):
        sys.exit("These two have no test in common: name two encoders, or two classifiers.")
    for test in before:
        gain, margin = paired_difference(before[test], after[test])
        print(f"{test:22}{gain:+6.2f} (± {margin:.2f}) from {names[0]} to {names[1]}")


def main(command="", *words):
    """The command line."""
    commands = {"publish": publish, "verify": verify, "compare": compare}
    if command not in commands:
        sys.exit(f"{command!r} is none of {', '.join(commands)}.")
    commands[command](*words)


if __name__ == "__main__":
    main(*sys.argv[1:])
