"""Write the repository's address into the README and the notebooks: python scripts/address.py [https://github.com/owner/name]

The address stands in one place, REPOSITORY in the Makefile. Without one, nothing links anywhere.
"""

import json
import re
import sys

from notebooks import ROOT

NOTEBOOKS = ("mae-pretraining.ipynb", "linear-probe.ipynb", "regular-classification.ipynb")
MARKED = re.compile(r"<!-- address -->.*?<!-- /address -->", re.DOTALL)
DOWNLOAD = re.compile(r"<!-- download -->.*?<!-- /download -->", re.DOTALL)
VARIABLE = re.compile(r'^repository = "[^"]*"', re.MULTILINE)


def badge(address, notebook):
    """Markdown of an *Open in Colab* badge; empty without an address."""
    if not address:
        return ""
    link = address.rstrip("/").replace("https://github.com/", "https://colab.research.google.com/github/")
    return f"[![Open {notebook} in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({link}/blob/main/{notebook})"


def stamp(text, address, notebooks):
    """`text` with the address in it: badges between the markers, and the variable `repository`."""
    badges = "".join(f"\n{badge(address, name)} `{name}`\n" for name in notebooks if address)
    text = MARKED.sub(lambda match: f"<!-- address -->{badges}<!-- /address -->", text)
    return VARIABLE.sub(lambda match: f'repository = "{address}"', text)


def download(text, address):
    """Markdown that fetches, by web address and SHA-256, the encoder that `text` loads from a copy of the repository."""
    if not address:
        return ""
    path = re.search(r"weights/[\w-]+/encoder\.keras", text)[0]
    digest = json.loads((ROOT / path).with_name("card.json").read_text())["sha256"]["encoder.keras"]
    return f"""
Without a copy of the repository, let Keras fetch the file, check its SHA-256 and keep it:

```python
import keras
path = keras.utils.get_file(
    "{path.split("/")[1]}.keras",
    "{address.rstrip("/")}/raw/main/{path}",
    file_hash="{digest}",
)
encoder = keras.saving.load_model(path)
```
"""


def stamped(address):
    """What the README and the notebooks should be: file name -> content."""
    readme = stamp((ROOT / "README.md").read_text(), address, NOTEBOOKS)
    part = f"<!-- download -->{download(readme, address)}<!-- /download -->"
    files = {"README.md": DOWNLOAD.sub(lambda match: part, readme)}
    for name in NOTEBOOKS:
        notebook = json.loads((ROOT / name).read_text())
        for cell in notebook["cells"]:
            cell["source"] = stamp("".join(cell["source"]), address, [name]).splitlines(keepends=True)
        files[name] = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    return files


def main(address=""):
    """Write the files."""
    for name, content in stamped(address).items():
        (ROOT / name).write_text(content)


if __name__ == "__main__":
    main(*sys.argv[1:])
