"""A folder of static files: the documents, the notebooks, and a page where you play with a released model: make site

    python scripts/site.py [TARGET]

Models and pictures are made here; onnxruntime-web comes from site/node_modules. Serve the folder with any web server.
"""

import html
import json
import os
import pathlib
import re
import shutil
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import export
import notebooks

ROOT, SOURCE = notebooks.ROOT, notebooks.ROOT / "site"
MODEL = "mae-6x2-mask75-100ep"
PAGES = {  # documents that become pages, and the name of each
    "README.md": "index.html",
    "docs/differences.md": "differences.html",
    "docs/labels.md": "labels.html",
    "docs/scale.md": "scale.html",
    "docs/own-images.md": "own-images.html",
    "ablations/README.md": "ablations.html",
    "logs/README.md": "logs.html",
    "weights/README.md": "weights.html",
    **{name: name.replace(".ipynb", ".html") for name in notebooks.NOTEBOOKS},
}
NAMES = notebooks.CIFAR10["classes"]
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="style.css">
</head>
<body>
<nav><a href="index.html">Start</a> <a href="play.html">Play with the model</a></nav>
<main>
{body}
</main>
</body>
</html>
"""


def page(document, target):
    """One of the repository's Markdown files as a page; links to what is not part of the site become plain text."""
    from nbconvert.filters import markdown2html

    folder, text = (ROOT / document).parent, re.sub(r"<!--.*?-->\n?", "", (ROOT / document).read_text())

    def link(match):
        address, words = html.unescape(match[1]), match[2]
        if "//" in address or address.startswith("#"):
            return match[0]
        path = folder.joinpath(address.split("#")[0]).resolve().relative_to(ROOT)
        name = PAGES.get(str(path)) or PAGES.get(str(path / "README.md"))
        return f'<a href="{name}">{words}</a>' if name else words

    def picture(match):
        path = folder / html.unescape(match[1])
        shutil.copy2(path, target / path.name)
        return f'src="{path.name}"'

    body = re.sub(r'<a class="anchor-link".*?</a>', "", markdown2html(text))
    body = re.sub(r'<a href="([^"]*)">(.*?)</a>', link, body, flags=re.S)
    body = re.sub(r'src="(?!data:|https?:)([^"]*)"', picture, body)
    return PAGE.format(title=re.search(r"^# (.+)", text, re.M)[1], body=body)


def notebook_page(name):
    """A notebook with its pictures, as nbconvert shows it; formulas become MathML, and nothing is loaded from elsewhere."""
    import nbformat
    from latex2mathml.converter import convert
    from nbconvert import HTMLExporter

    notebook, formulas = nbformat.read(ROOT / name, as_version=4), []

    def formula(match):
        block = match[0].startswith("$$")
        formulas.append(convert(match[0].strip("$"), display="block" if block else "inline"))
        return f"formula{len(formulas) - 1}x"  # nbconvert would clean MathML away, so it is put in afterwards

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"\$\$.+?\$\$|\$\S(?:[^$\n]*\S)?\$", formula, cell.source, flags=re.S)
    body = HTMLExporter(template_name="classic", embed_images=True).from_notebook_node(notebook)[0]
    body = re.sub(r"<script.*?</script>", "", body, flags=re.S)
    body = re.sub(r"formula(\d+)x", lambda match: formulas[int(match[1])], body)
    bar = '<nav style="margin: 1rem"><a href="index.html">Start</a> <a href="play.html">Play with the model</a></nav>'
    return body.replace("<head>", '<head><link rel="icon" href="data:,">', 1).replace("<body>", f"<body>{bar}", 1)


def images(target):
    """images.png: the first two test images of each class in a row; images.json: their names."""
    import matplotlib.pyplot as plt

    _, _, x, y = notebooks.definitions(notebooks.PRETRAINING)["load_cifar10"](ROOT / "data")
    chosen = [i for label in range(10) for i in np.flatnonzero(y == label)[:2]]
    plt.imsave(target / "images.png", np.concatenate(x[chosen], axis=1))
    (target / "images.json").write_text(json.dumps([NAMES[y[i]] for i in chosen]) + "\n")


def models(target):
    """models/trained.onnx and models/untrained.onnx."""
    target.mkdir()
    folder = ROOT / "weights" / MODEL
    encoder, decoder = (
        keras.saving.load_model(folder / f"{name}.keras", compile=False) for name in ("encoder", "decoder")
    )
    settings = notebooks.read(folder / "card.json")["settings"]
    keras.utils.set_random_seed(0)
    fresh = [keras.models.clone_model(model) for model in (encoder, decoder)]
    for name, parts in (("trained", (encoder, decoder)), ("untrained", fresh)):
        export.export(export.painter(*parts, settings), target / f"{name}.onnx")


def main(target="build/site"):
    """Build the site; what was there before is replaced."""
    goal = ROOT / target
    if goal.exists() and not (goal / "play.html").exists():
        sys.exit(f"{target} holds something else than an earlier site: name another folder.")
    runtime = SOURCE / "node_modules" / "onnxruntime-web" / "dist"
    missing = [name for name in RUNTIME if not (runtime / name).exists()]
    if missing:
        sys.exit(f"site/node_modules lacks {missing[0]} of onnxruntime-web: run `npm ci` in site/ (`make site` does).")
    partial = goal.with_name(goal.name + "-unfinished")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for file in (
        *SOURCE.glob("*.js"),
        *SOURCE.glob("*.css"),
        SOURCE / "play.html",
        *(runtime / name for name in RUNTIME),
    ):
        shutil.copy2(file, partial)
    images(partial)
    models(partial / "models")
    for document, name in PAGES.items():
        made = notebook_page(document) if document in notebooks.NOTEBOOKS else page(document, partial)
        (partial / name).write_text(made)
    shutil.rmtree(goal, ignore_errors=True)
    partial.rename(goal)
    size = sum(file.stat().st_size for file in goal.rglob("*") if file.is_file()) / 1e6
    where = pathlib.Path(target)
    print(f"{where}/: {size:.0f} MB. Look at it with: python3 -m http.server --directory {where}")


if __name__ == "__main__":
    main(*sys.argv[1:])
