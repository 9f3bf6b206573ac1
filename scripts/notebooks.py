"""Run the notebooks from the command line, and use what they define. Writes to runs/.

    python scripts/notebooks.py NOTEBOOK [PARAMETER=VALUE ...], or quickstart, or repeat NAME [SEED=n]

Before a run its parameters are checked, and a folder that holds a run with other settings is refused. After it card.json
says how its files came about. Tests and the other scripts use `definitions("mae-pretraining.ipynb")["patchify"]`.
"""

import ast
import contextlib
import csv
import fcntl
import functools
import hashlib
import io
import json
import math
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PRETRAINING, PROBE, CLASSIFICATION = NOTEBOOKS = (
    "mae-pretraining.ipynb",
    "linear-probe.ipynb",
    "regular-classification.ipynb",
)
CIFAR10 = {
    "folder": "CIFAR-10",
    "size": 32,
    "channels": 3,
    "classes": "airplane automobile bird cat deer dog frog horse ship truck".split(),
    "train": 50_000,
    "test": 10_000,
    "smallest_class": 5000,
    "smallest": [32, "image"],
}
PUBLISHED = 49.33  # the predecessor's best linear probe, after 100 epochs, in %
# epochs of classification with an encoder of its size that multiply as often as the pre-training of each of these weights
PRETRAINING_WORK = {"mae-6x2-mask75-100ep": 37, "mae-6x2-mask75-hog-50ep": 18, "mae-9x3-mask75-100ep": 37}
EPOCH_WORK = {"mae-9x3-mask75-100ep": 1.497}  # of an epoch with 9 layers, in epochs with 6
HELD = {}  # run folders that this process keeps others out of, and their descriptors


def cells(notebook, kind="code"):
    """The cells of one kind, as dicts; `notebook` is a path, or a file name in the repository's root."""
    return [cell for cell in read(ROOT / notebook)["cells"] if cell["cell_type"] == kind]


def code_cells(notebook):
    """The sources of a notebook's code cells."""
    return ["".join(cell["source"]) for cell in cells(notebook)]


def parameters(notebook):
    """{name: default} from the cell tagged parameters."""
    (cell,) = (cell for cell in cells(notebook) if "parameters" in cell["metadata"].get("tags", []))
    statements = ast.parse("".join(cell["source"])).body
    return {statement.targets[0].id: ast.literal_eval(statement.value) for statement in statements}


def definitions(notebook, only=None):
    """Run a notebook's imports, functions and classes, and nothing else, and return them as a dict.

    `only`, a set of names, leaves out all other functions and classes, and the imports that these do not need.
    """
    nodes = [node for source in code_cells(notebook) for node in ast.parse(source).body]
    wanted = [n for n in nodes if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and (only is None or n.name in only)]
    missing = set(only or ()) - {node.name for node in wanted}
    if missing:
        raise KeyError(f"{notebook} does not define {', '.join(sorted(missing))}")
    used = {n.id for w in wanted for n in ast.walk(w) if isinstance(n, ast.Name)}
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            node.names = [a for a in node.names if only is None or (a.asname or a.name.split(".")[0]) in used]
    imports = [n for n in nodes if isinstance(n, (ast.Import, ast.ImportFrom)) and n.names]
    namespace = {"__name__": notebook}
    exec(compile(ast.Module(imports + wanted, []), notebook, "exec"), namespace)
    return namespace


def parse(words, defaults):
    """["EPOCHS=100", "RUN=deep"] -> {"EPOCHS": 100, "RUN": "deep"}; exits with a sentence on a wrong name or kind of value."""
    values = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in defaults:
            sys.exit(f"{word!r} sets no parameter of this notebook: it has {', '.join(defaults)}.")
        default = defaults[name]
        if not isinstance(default, str):
            try:
                value = ast.literal_eval(value)
            except (ValueError, SyntaxError):
                value = None
            if isinstance(default, float) and type(value) is int:
                value = float(value)
            if type(value) is not type(default):
                sys.exit(f"{word!r}: {name} must be a value like {default!r}.")
        values[name] = value
    return values


def problem(settings):
    """What is wrong with a run's settings (lower-case names), in one sentence; None if they can work."""
    s = settings
    if not re.fullmatch(r"[A-Za-z0-9]+([-_.][A-Za-z0-9]+)*", s["run"]) or len(s["run"]) > 100:
        return f"RUN {s['run']!r} must be letters and digits, at most 100, joined by - or _ or dots."
    may_be_0 = (
        "seed draw warmup_epochs validation_images weight_decay label_smoothing learning_rate mask_ratio crop_area"
    )
    for name, value in s.items():
        least = -1 if name == "tuned_blocks" else 0 if name in may_be_0.split() else 1
        if type(value) in (int, float) and not least <= value < 2**31:
            return f"{name.upper()} must be {least} or more and below 2147483648, not {value}."
    if not 0 < s.get("learning_rate", 1) <= 1:
        return f"LEARNING_RATE {s['learning_rate']} must be above 0 and at most 1."
    if not 0 < s.get("crop_area", 1) <= 1:
        return f"CROP_AREA {s['crop_area']} must be above 0 and at most 1."
    if "epochs" in s and not s["warmup_epochs"] < s["epochs"]:
        return f"WARMUP_EPOCHS {s['warmup_epochs']} must be below EPOCHS {s['epochs']}."
    if s.get("images") and not (ROOT / s["images"] / "images.json").exists():
        return f"IMAGES {s['images']} holds no arrays: make them with `python scripts/images.py FOLDER SIZE`."
    about = about_images(s)
    side, classes, name = about["size"], len(about["classes"]), about["folder"]
    if "patch_size" in s:
        if side % s["patch_size"]:
            return f"PATCH_SIZE {s['patch_size']} does not divide {side}, the side of {name}'s images."
        pixels, file = about["smallest"]
        if pixels < s["patch_size"]:
            return f"{file} in {name} is {pixels} pixels wide or high, less than a patch: take it out."
        patches = (side // s["patch_size"]) ** 2
        if not 1 <= patches - round(s["mask_ratio"] * patches) < patches:
            return f"MASK_RATIO {s['mask_ratio']} must hide at least one of {patches} patches, and leave one."
        for part in ("encoder", "decoder"):
            width, heads = s[f"{part}_width"], s[f"{part}_heads"]
            if width % heads or width % 4:
                return f"{part.upper()}_WIDTH {width} must be a multiple of 4 and of {part.upper()}_HEADS {heads}."
    if "encoder" in s and not classes:
        return f"{name} has no classes, so nothing can be asked about it: put the images of each class into a sub-folder of its own."
    if "labels_per_class" in s:
        if s["labels_per_class"] > about["smallest_class"]:
            return f"LABELS_PER_CLASS {s['labels_per_class']} must be at most {about['smallest_class']}, what the smallest class has."
        if s["validation_images"] % classes:
            return f"VALIDATION_IMAGES {s['validation_images']} must be a multiple of {classes}, the number of classes."
        left = classes * s["labels_per_class"] - s["validation_images"]
        if left < s["batch_size"]:
            return f"{classes} classes of LABELS_PER_CLASS {s['labels_per_class']} less VALIDATION_IMAGES {s['validation_images']} are {left} images, fewer than BATCH_SIZE {s['batch_size']}: lower BATCH_SIZE."
        if not s["label_smoothing"] < 1:
            return f"LABEL_SMOOTHING {s['label_smoothing']} must be below 1."
        return foreign(s["encoder"]) or misfit(s["encoder"], about) or too_many_blocks(s["encoder"], s["tuned_blocks"])
    left = s["train_images"] - s["validation_images"]
    if s["train_images"] > about["train"]:
        return f"TRAIN_IMAGES {s['train_images']} must be at most {about['train']}."
    if left < s.get("batch_size", 10):
        least = f"BATCH_SIZE {s['batch_size']}: lower BATCH_SIZE" if "batch_size" in s else "10: raise TRAIN_IMAGES"
        return f"There are {left} images to train on (TRAIN_IMAGES less VALIDATION_IMAGES), fewer than {least}."
    if "test_images" in s and (s["validation_images"] < 1 or not 1 <= s["test_images"] <= about["test"]):
        return f"TEST_IMAGES must be from 1 to {about['test']}, and VALIDATION_IMAGES at least 1."
    return foreign(s["encoder"]) or misfit(s["encoder"], about) if "encoder" in s else None


def about_images(settings):
    """What there is to know of a run's images: of CIFAR-10, or what scripts/images.py has written of your own."""
    return read(ROOT / settings["images"] / "images.json") if settings.get("images") else CIFAR10


def foreign(folder):
    """What is wrong with the encoder in a folder, in one sentence; None if it is the one that its card names."""
    path = ROOT / folder / "encoder.keras"
    if not path.exists():
        return f"{folder}/encoder.keras is missing: run `make pretrain` and name its folder in ENCODER."
    try:
        digest = read(path.with_name("card.json"))["sha256"]["encoder.keras"]
    except (OSError, ValueError, KeyError, TypeError):
        return (
            f"{folder}/card.json is missing or states no SHA-256: bring it from the run, or train with `make pretrain`."
        )
    if digest != sha256(path):
        return (
            f"{folder}/encoder.keras is not the file of its card.json (SHA-256 differs): bring both from the same run."
        )
    return None


def misfit(folder, about):
    """What is wrong if an encoder takes other images than these, in one sentence; None if it takes them."""
    takes, given = input_shape(ROOT / folder / "encoder.keras"), [about["size"], about["size"], about["channels"]]
    if takes == given:
        return None
    return f"{folder}/encoder.keras takes images {takes} (height, width, channels), and those of {about['folder']} are {given}: name the IMAGES that it was trained on, or pre-train one on these with `make pretrain`."


def too_many_blocks(folder, number):
    """What is wrong if an encoder has fewer blocks than are to be tuned, in one sentence; None if it has enough."""
    blocks = count_blocks(ROOT / folder / "encoder.keras")
    return f"TUNED_BLOCKS is {number}, but {folder}/encoder.keras has {blocks} blocks." if number > blocks else None


def open_run(folder, settings, processes=1):
    """Create the run's folder with settings.json and provenance.json; exits with a sentence if it holds another run."""
    path, name = folder / "settings.json", f"runs/{folder.name}"
    start = provenance() | ({"processes": processes} if processes > 1 else {})
    if "encoder" in settings:
        start["sha256"] = sha256(ROOT / settings["encoder"] / "encoder.keras")
    if settings.get("images"):
        start["images_sha256"] = about_images(settings)["sha256"]
    if not path.exists():
        if list(folder.glob("*.weights.h5")) or (folder / "results.json").exists():
            sys.exit(f"{name} holds a run that was not started by this command: choose another RUN or delete it.")
        folder.mkdir(parents=True, exist_ok=True)
        hold(folder)
        write(folder / "provenance.json", start)
        return write(path, settings)
    old, then = read(path), read(folder / "provenance.json")
    differ = sorted(key for key in old | settings if old.get(key, "") != settings.get(key, ""))
    inputs = {"backend": "KERAS_BACKEND", "sha256": "the file in ENCODER", "images_sha256": "the files in IMAGES"}
    differ += [told for key, told in inputs.items() if then.get(key) != start.get(key)]
    if differ:
        sys.exit(f"{name} holds a run with other settings ({', '.join(differ)}): choose another RUN or delete it.")
    hold(folder)
    start["processes"] = processes
    last = {"processes": 1} | then
    for change in then.get("went_on_with", []):
        last |= change
    moved = {
        key: start.get(key)
        for key in ("commit", "versions", "hardware", "processes")
        if last.get(key) != start.get(key)
    }
    if moved and not (folder / "results.json").exists():
        print(f"{name} goes on, with a change ({', '.join(moved)}) that its card will tell", flush=True)
        write(folder / "provenance.json", then | {"went_on_with": [*then.get("went_on_with", []), moved]})


def hold(folder):
    """Keep other processes out of a run's folder until this one ends; exits with a sentence if one is in there."""
    if folder not in HELD:
        HELD[folder] = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(HELD[folder], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(HELD.pop(folder))
            sys.exit(f"runs/{folder.name} is in use by another process: wait for it or choose another RUN.")
        except OSError:  # a file system without locks
            pass


@contextlib.contextmanager
def alone(folder):
    """Let one process at a time into a `with` block, where the file system has locks."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def provenance():
    """What a reader needs to judge or repeat a run: versions, hardware, and the commit (None outside a repository)."""
    here = os.environ | {"GIT_CEILING_DIRECTORIES": str(ROOT.parent)}  # a repository around this one says nothing
    head = ["git", "rev-parse", "HEAD"]
    changes = ["git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!logs"]  # runs add rows to logs/
    try:
        commit, changed = (
            subprocess.run(command, cwd=ROOT, env=here, capture_output=True, text=True).stdout.strip()
            for command in (head, changes)
        )
        commit = f"{commit}-dirty" if commit and changed else commit or None
    except OSError:  # no git on this machine
        commit = None
    return machine(environment()["KERAS_BACKEND"]) | {"commit": commit}


@functools.cache
def machine(backend):
    """Versions and hardware as a process of its own sees them, once for each backend: starting Keras takes seconds."""
    code = """
import json, os, platform, keras, numpy
name = keras.backend.backend()
versions = {"python": platform.python_version(), "keras": keras.__version__, "numpy": numpy.__version__}
try:
    with open("/proc/cpuinfo") as file:
        processor = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
except (OSError, StopIteration):  # not Linux, or not x86
    processor = platform.machine()
hardware = f"{os.cpu_count()} CPU cores ({processor}); " + ", ".join(keras.distribution.list_devices())
versions[name] = __import__(name).__version__
print(json.dumps({"backend": name, "versions": versions, "hardware": hardware}))
"""
    found = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    if found.returncode:
        cause = (found.stderr.strip().splitlines() or ["no message"])[-1]
        sys.exit(f"Keras cannot start on the backend {backend} ({cause}): install it or choose another.")
    return json.loads(found.stdout.splitlines()[-1])


def run(notebook, processes=1, **values):
    """Execute a notebook with these parameters, and return the run's folder; an error in it ends the program with a sentence.
    `processes` have trained it, if it was more than this one.

    A finished run is left as it is.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError

    settings = {name.lower(): value for name, value in (parameters(notebook) | values).items()}
    wrong = problem(settings)
    if wrong:
        sys.exit(wrong)
    folder = ROOT / "runs" / settings["run"]
    open_run(folder, settings, processes)
    if (folder / "results.json").exists() and (folder / notebook).exists():
        print(f"runs/{folder.name} holds this run, finished: to repeat it choose another RUN or delete it", flush=True)
        return folder
    wrong = diverged(folder)
    if wrong:
        sys.exit(wrong)
    print(f"running {notebook} into runs/{folder.name}/", flush=True)
    partial = folder / f"{notebook.removesuffix('.ipynb')}-unfinished.ipynb"
    stop = threading.Event()
    follower = threading.Thread(target=follow, args=(folder / "history.csv", stop))
    follower.start()
    os.environ.update(environment())
    try:
        bar = sys.stderr.isatty()
        papermill.execute_notebook(
            str(ROOT / notebook), str(partial), values, cwd=str(ROOT), progress_bar=bar, kernel_name="python3"
        )
    except papermill.PapermillExecutionError as error:
        sys.exit(diverged(folder) or f"{error.ename}: {(str(error.evalue).splitlines() or ['no message'])[0]}")
    except DeadKernelError:
        sys.exit(
            "The notebook's process died, most likely out of memory: for training choose a smaller BATCH_SIZE and another RUN."
        )
    except KeyboardInterrupt:
        sys.exit("Stopped; the same command goes on, training from the last finished epoch.")
    finally:
        stop.set()
        follower.join()
    if list(folder.glob("*.keras")) and not (folder / "card.json").exists():
        write(folder / "card.json", card(folder, settings))
    tidy(partial)
    partial.replace(folder / notebook)  # a failed run never replaces a finished one
    return folder


def environment():
    """This process's environment, with the notebooks' default backend and without TensorFlow's chatter."""
    return {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"} | os.environ


def epochs(history):
    """The rows of a history file by epoch; of an epoch that was cut off and run again the last one counts."""
    return {int(row["epoch"]): {k: v for k, v in row.items() if v != "NA"} for row in read_csv(history)}


def diverged(folder):
    """A sentence if the loss of a run is no longer a number, which no further epoch mends; None as long as it is one."""
    for epoch, row in epochs(folder / "history.csv").items():
        if row.get("loss") and not math.isfinite(float(row["loss"])):
            return (
                f"The loss is no longer a number since epoch {epoch + 1}: choose a lower LEARNING_RATE and another RUN."
            )
    return None


def follow(history, stop):
    """Print the epochs that a running notebook adds to its history file, until the event `stop` is set.

    If the loss is no longer a number, the notebook's process is interrupted.
    """
    import psutil

    seen = set(epochs(history))
    while not stop.wait(1):
        for epoch, row in epochs(history).items():
            if epoch not in seen and None not in row and None not in row.values():
                seen.add(epoch)
                numbers = (f"{name} {float(value):.4g}" for name, value in row.items() if name != "epoch")
                print(f"  epoch {epoch + 1}: " + ", ".join(numbers), flush=True)
        if diverged(history.parent):
            for kernel in psutil.Process().children():
                kernel.send_signal(signal.SIGINT)
            return


def card(folder, settings):
    """How the files of a finished run came about, as a dict."""
    rows = epochs(folder / "history.csv")
    seconds = [float(row["seconds"]) for row in rows.values()]
    about = about_images(settings)
    number = settings.get("train_images") or len(about["classes"]) * settings["labels_per_class"]
    number -= settings["validation_images"]
    batches = number // settings["batch_size"] * settings["batch_size"]
    files = sorted(folder.glob("*.keras"))
    start, pretrained = read(folder / "provenance.json"), settings.get("pretrained")
    labels, what = "with", "supervised classifier: images 0-255 -> logits of the classes"
    if "mask_ratio" in settings:
        labels, what = "without", "masked autoencoder (arXiv 2111.06377): encoder: images 0-255 -> tokens"
        if any(file.stem == "decoder" for file in files):
            what += "; decoder: what the encoder returns for visible patches, ids_restore -> patches"
    return {
        "what": what,
        "settings": settings,
        **({} if pretrained is None else {"start": start["sha256"] if pretrained else "random weights"}),
        "layers": max(count_blocks(file) for file in files),
        "data": f"{about['folder']}, {number} training images {labels} their labels",
        "images": {key: about[key] for key in ("size", "channels", "classes")},
        "parameters": {file.stem: count_parameters(file) for file in files},
        "epochs": len(rows),
        "seconds": round(sum(seconds), 1),
        # median over epochs; the first one compiles the step, so it counts only if it is alone
        "images_per_second": round(batches / statistics.median(seconds[1:] or seconds), 1),
        "loss": {name: round(float(value), 5) for name, value in rows[max(rows)].items() if "loss" in name},
        **start,
        "sha256": {file.name: sha256(file) for file in files},
        # with your own images it is yours to say
        **({} if settings.get("images") else {"licence": "MIT (code and weights)"}),
    }


def input_shape(file):
    """[height, width, channels] of the images that an encoder takes."""
    layers = json.loads(config(file))["config"]["layers"]
    return next(layer["config"]["batch_shape"] for layer in layers if layer["class_name"] == "InputLayer")[1:]


def config(file):
    """The architecture in a .keras file, as JSON text."""
    with zipfile.ZipFile(file) as archive:
        return archive.read("config.json").decode()


def count_blocks(file):
    """The number of transformer blocks of the model in a .keras file."""
    return len(set(re.findall(r'"(block_\d+)"', config(file))))


def count_parameters(file):
    """The number of weights in a .keras file."""
    import h5py

    sizes = []
    with zipfile.ZipFile(file) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
        weights["layers"].visititems(lambda _, item: sizes.append(getattr(item, "size", 0)))
    return int(sum(sizes))


def tidy(path):
    """Leave of an executed notebook what a reader wants: no time stamps, no start-up chatter, of a progress line the end."""
    notebook = read(path)
    notebook["metadata"].pop("papermill", None)
    chatter = r"[IWE]0000 00:00|WARNING: All log messages before absl|To enable the following instructions|\s*$"
    for cell in notebook["cells"]:
        cell["metadata"] = {key: value for key, value in cell["metadata"].items() if key == "tags"}
        outputs = cell.pop("outputs", [])
        for output in outputs if cell["cell_type"] == "code" else []:
            kept = cell.setdefault("outputs", [])
            if kept and output.get("name") and kept[-1].get("name") == output["name"]:
                kept[-1]["text"] += output["text"]
            else:
                kept.append(output)
        for output in cell.get("outputs", []):
            if "text" in output:
                text = re.sub(r"[^\n]*\r(?=[^\n\r])", "", "".join(output["text"])).replace("\r", "\n")
                lines = text.splitlines(keepends=True)
                error = output["name"] == "stderr"
                output["text"] = [line for line in lines if not (error and re.match(chatter, line))]
        if cell["cell_type"] == "code":
            cell["outputs"] = [output for output in cell.get("outputs", []) if output.get("text") != []]
    write(path, notebook, ensure_ascii=False)


def read(path):
    """The contents of a JSON file."""
    return json.loads(pathlib.Path(path).read_text())


def write(path, content, **options):
    """Write a JSON file, in the form that Jupyter gives notebooks."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False, **options) + "\n")


def write_text(path, content):
    """Write a text file beside the old one and swap: whoever is stopped meanwhile keeps the old one."""
    partial = path.with_suffix(".partial")
    partial.write_text(content)
    partial.replace(path)


def read_if_there(path):
    """The contents of a JSON file, an empty dict if there is none."""
    return read(path) if path.exists() else {}


def short(commit):
    """A commit in few letters, with "-dirty" if that stands behind it, or "no commit"."""
    return commit[:7] + "-dirty" * commit.endswith("-dirty") if commit else "no commit"


def read_csv(table):
    """The rows of a CSV file, dicts of text; none if there is no such file."""
    return list(csv.DictReader(table.read_text().splitlines())) if table.exists() else []


def add_row(table, row):
    """Add a row, a dict, to a CSV file, which gets a header line if it is new; ValueError if it has no such column."""
    before = table.read_text() if table.exists() else ""
    names = next(csv.reader(before.splitlines()), None)
    with table.open("a", newline="") as file:
        if before and not before.endswith("\n"):  # somebody's editor
            file.write("\n")
        writer = csv.DictWriter(file, names or row, lineterminator="\n")
        if not names:
            writer.writeheader()
        writer.writerow(row)


def row_once(table, key, measure):
    """The row of a CSV file that begins with `key`, a dict; if there is none, `measure()` returns the rest, and it is added.

    Machine and commit are today's, unless `measure()` names others.
    """
    for old in read_csv(table):
        if all(old[name] == str(value) for name, value in key.items()):
            return old
    start = provenance()
    today = {"hardware": start["hardware"], "keras": start["versions"]["keras"], "commit": start["commit"]}
    row = key | today | measure()
    add_row(table, row)
    print(row, flush=True)
    return row


def best_rate(tries):
    """The learning rate, as it is written, of the most accurate of these rows of a table; of equal ones the lowest."""
    return max(tries, key=lambda row: (float(row["accuracy"]), -float(row["learning_rate"])))["learning_rate"]


def sha256(path):
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def summary(folder):
    """The line to remember of `make quickstart`, from its folder."""
    card, results, timed = (read(folder / f"{name}.json") for name in ("card", "results", "quickstart"))
    return (
        f"linear probe: {results['linear_probe']:.2f} % · untrained encoder: {results['untrained']:.2f} % · predecessor, 100 epochs: {PUBLISHED} % · "
        f"{card['images_per_second']:.0f} images/s · {timed['seconds']:.0f} s"
    )


def quickstart():
    """Pre-train for a minute or two; a run that was already finished is only read again and keeps the time it took."""
    start, folder = time.time(), ROOT / "runs" / "quickstart"
    times, finished = folder / "quickstart.json", (folder / "results.json").exists()
    spent = read_if_there(times).get("seconds", 0)  # by a run that was cut off
    few = {"TRAIN_IMAGES": 18_000, "EPOCHS": 5, "WARMUP_EPOCHS": 1, "BATCH_SIZE": 128, "LEARNING_RATE": 6e-3}
    try:
        run(PRETRAINING, RUN="quickstart", **few)
    finally:
        if folder in HELD and not (finished and times.exists()):  # not if it was refused
            write(times, {"command": "make quickstart", "seconds": round(spent + time.time() - start, 1)})
    print(f"the executed notebook, history and exported encoder are in runs/quickstart/\n{summary(folder)}")


def plan(name="", *words):
    """(notebook, parameters) of the run in logs/<name>/, or with SEED=<n> those of another seed; exits if there is no such run."""
    path = ROOT / "logs" / name / "settings.json"
    if not name or not path.exists():
        known = sorted(file.parent.name for file in ROOT.glob("logs/*/settings.json"))
        sys.exit(f"logs/ holds no run {name!r}: name one with OF=..., one of {', '.join(known)}.")
    settings = {key.upper(): value for key, value in read(path).items() if value != ""}
    notebook = PRETRAINING if "MASK_RATIO" in settings else CLASSIFICATION
    known = parameters(notebook)
    lost = known.keys() - settings.keys() - {"IMAGES"}
    if lost:
        commit = short(read(path.with_name("card.json"))["commit"])
        sys.exit(
            f"{name} is older than {', '.join(sorted(lost))}: repeat it with the notebook of its commit, {commit}."
        )
    kept = {key: value for key, value in settings.items() if key in known}
    if not all(word.startswith("SEED=") for word in words):
        sys.exit(
            f"{' '.join(words)}: a repeated run takes SEED only; for other settings use `make pretrain` or `make classify`."
        )
    seed = parse(words, {"SEED": kept["SEED"]}).get("SEED", kept["SEED"])
    again = kept | {"SEED": seed, "RUN": f"{name}-again" if seed == kept["SEED"] else f"{name}-seed{seed}"}
    if "VARIANT" in settings:
        own = " ".join(f"{key}={value}" for key, value in again.items() if value != known[key])
        sys.exit(f"{name} is the notebook with a change: type `make variant NAME={settings['VARIANT']} {own}`.")
    return notebook, again


def arguments(notebook, words):
    """The parameters in the words of a command line. A folder of files in IMAGES becomes that of its arrays, of IMAGE_SIZE
    pixels a side, and numbers of images that are not given are then those of the folder.
    """
    values = parse(words, parameters(notebook) | {"IMAGE_SIZE": 0})
    size, folder = values.pop("IMAGE_SIZE", None), values.get("IMAGES")
    if not folder and size is not None:
        sys.exit("IMAGE_SIZE goes with IMAGES, a folder of your own images: those of CIFAR-10 are 32 x 32.")
    if not folder:
        return values
    if (ROOT / folder / "x_train.npy").exists() and not (ROOT / folder / "images.json").exists():
        sys.exit(
            f"IMAGES {folder} holds arrays without an images.json: set it in the notebook itself, or name a folder of pictures here."
        )
    if not (ROOT / folder / "x_train.npy").exists():
        from images import prepare

        if size is None and "ENCODER" not in values:
            sys.exit("IMAGE_SIZE is missing: say how many pixels a side the images in IMAGES shall have.")
        if size is None:
            wrong = foreign(values["ENCODER"])
            if wrong:
                sys.exit(wrong)
            size = input_shape(ROOT / values["ENCODER"] / "encoder.keras")[0]
        values["IMAGES"] = str(prepare(folder, size).relative_to(ROOT))
    about = about_images({"images": values["IMAGES"]})
    if size not in (None, about["size"]):
        sys.exit(
            f"IMAGE_SIZE is {size}, but the arrays in {folder} have {about['size']} pixels a side: name the folder of the images."
        )
    if not about["classes"]:
        print(f"{about['folder']} has no classes, so nothing will be probed", flush=True)
    numbers = {"TRAIN_IMAGES": about["train"]}
    if notebook == PROBE:
        numbers |= {
            "TEST_IMAGES": about["test"],
            "VALIDATION_IMAGES": max(1, values.get("TRAIN_IMAGES", about["train"]) // 10),
        }
    return {key: value for key, value in numbers.items() if key in parameters(notebook)} | values


def main(command="", *words):
    """The command line."""
    if command == "quickstart":
        if words:
            sys.exit("quickstart takes no parameters: `make pretrain` takes them all.")
        quickstart()
    elif command == "repeat" or command in NOTEBOOKS:
        notebook, values = plan(*words) if command == "repeat" else (command, arguments(command, words))
        folder = run(notebook, **values)
        print(f"done: the executed notebook and its results are in {folder.relative_to(ROOT)}/")
    else:
        sys.exit(f"{command!r} is none of quickstart, repeat and {', '.join(NOTEBOOKS)}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
