"""Run a notebook from the command line: python scripts/run.py NOTEBOOK [PARAMETER=VALUE ...]

The executed notebook and everything it writes go to runs/<RUN>/. The same command again goes on where a run was cut off.
"""

import ast
import json
import os
import re
import sys
import threading

import papermill
from nbclient.exceptions import DeadKernelError
from notebooks import ROOT


def parse(words, known):
    """["EPOCHS=100", "RUN=deep"] -> {"EPOCHS": 100, "RUN": "deep"}; exits with a sentence on a wrong name or kind of value.

    known: the notebook's parameters, as papermill.inspect_notebook gives them.
    """
    parameters = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in known:
            sys.exit(f"{word!r} sets no parameter of this notebook: it has {', '.join(known)}.")
        default = ast.literal_eval(known[name]["default"])
        if not isinstance(default, str):
            try:
                value = ast.literal_eval(value)
            except (ValueError, SyntaxError):
                value = None
            fits = (
                isinstance(value, (int, float))
                if isinstance(default, float)
                else type(value) is type(default)
            )
            if not fits:
                sys.exit(f"{word!r}: {name} must be a value like {default!r}.")
        parameters[name] = value
    return parameters


def follow(history, stop):
    """Print the epochs that a running notebook adds to its history file, until the event `stop` is set."""
    seen = len(history.read_text().splitlines()) if history.exists() else 1  # the head counts as seen
    while not stop.wait(1):
        lines = history.read_text().splitlines() if history.exists() else []
        for line in lines[seen:]:
            row = dict(zip(lines[0].split(","), line.split(",")))
            print(
                f"  epoch {row.pop('epoch')}: "
                + ", ".join(f"{name} {float(value):.4g}" for name, value in row.items()),
                flush=True,
            )
        seen = max(1, len(lines))


def tidy(path):
    """Take papermill's time stamps, and the chatter of TensorFlow's C++ side at import, out of an executed notebook."""
    notebook = json.loads(path.read_text())
    notebook["metadata"].pop("papermill", None)
    for cell in notebook["cells"]:
        cell["metadata"] = {key: value for key, value in cell["metadata"].items() if key == "tags"}
        if cell["cell_type"] == "code":
            cell["outputs"] = [output for output in cell["outputs"] if not is_chatter(output)]
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


def is_chatter(output):
    """Whether every line of an output on stderr is one of TensorFlow's start-up log lines."""
    lines = "".join(output.get("text", [])).splitlines() if output.get("name") == "stderr" else ["kept"]
    return all(re.match(r"[IWE]0000 00:00|WARNING: All log messages before absl|$", line) for line in lines)


def run(notebook, **parameters):
    """Execute a notebook with these parameters; returns the run's folder. Raises papermill.PapermillExecutionError if a cell fails."""
    name = parameters.get(
        "RUN", ast.literal_eval(papermill.inspect_notebook(str(ROOT / notebook))["RUN"]["default"])
    )
    folder = ROOT / "runs" / name
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{notebook.removesuffix('.ipynb')}-unfinished.ipynb"
    print(f"running {notebook} into runs/{name}/", flush=True)
    stop = threading.Event()
    follower = threading.Thread(target=follow, args=(folder / "history.csv", stop))
    follower.start()
    try:
        bar = sys.stderr.isatty()
        papermill.execute_notebook(
            str(ROOT / notebook),
            str(partial),
            parameters,
            cwd=str(ROOT),
            progress_bar=bar,
            kernel_name="python3",
        )
    finally:
        stop.set()
        follower.join()
    tidy(partial)
    partial.replace(folder / notebook)  # a failed run never replaces a finished one
    return folder


def run_or_exit(notebook, **parameters):
    """As `run`, but whatever stops the notebook ends the program with one sentence."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        return run(notebook, **parameters)
    except papermill.PapermillExecutionError as error:
        sys.exit(f"{error.ename}: {error.evalue}")
    except DeadKernelError:
        sys.exit(
            "the notebook's process died, most likely out of memory: "
            "halve BATCH_SIZE; the same command goes on from the last finished epoch."
        )
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from the last finished epoch.")


def main(notebook, *words):
    """The command line."""
    parameters = parse(words, papermill.inspect_notebook(str(ROOT / notebook)))
    folder = run_or_exit(notebook, **parameters)
    print(f"done: the executed notebook and its results are in {folder.relative_to(ROOT)}/")


if __name__ == "__main__":
    main(*sys.argv[1:])
