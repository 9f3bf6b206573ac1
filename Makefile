# The repository's web address, such as https://github.com/owner/name; `make address` writes it wherever it is needed.
REPOSITORY =

PYTHON ?= python3
BIN = .venv/bin
PIP = -m pip install --quiet --disable-pip-version-check
# NAME='value' of each variable on the command line, quoted for the shell; those that make itself or Keras reads are left out,
# and $(call but,NAME) leaves out NAME, too.
NAMES = $(sort $(foreach word,$(MAKEOVERRIDES),$(if $(findstring =,$(word)),$(firstword $(subst =, ,$(word))))))
OURS = PYTHON REPOSITORY KERAS_BACKEND TF_CPP_MIN_LOG_LEVEL
but = $(foreach name,$(filter-out $(OURS) $(1),$(NAMES)),$(if $(filter command,$(origin $(name))),$(name)='$(subst ','\'',$(value $(name)))'))
PARAMETERS = $(but)
export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.PHONY: help quickstart pretrain probe classify labels corruptions mistakes distribute ablate variant elpv bench repeat export site lab release results compare verify address data test test-site test-colab test-torch parity clean

help:  ## list the commands
	@awk -F ':.*##' '/^[a-z-]+:.*##/ {printf "%-12s%s\n", $$1, $$2}' Makefile

quickstart: data  ## pre-train for a minute or two and probe the encoder
	$(BIN)/python scripts/notebooks.py quickstart $(PARAMETERS)

pretrain: data  ## run mae-pretraining.ipynb; any parameter can follow: make pretrain RUN=deep ENCODER_LAYERS=9
	$(BIN)/python scripts/notebooks.py mae-pretraining.ipynb $(PARAMETERS)

distribute: data  ## pre-train on several devices or machines, on JAX: docs/scale.md
	$(BIN)/python scripts/distribute.py $(PARAMETERS)

probe: data  ## run linear-probe.ipynb: make probe RUN=probe-deep ENCODER=runs/deep
	$(BIN)/python scripts/notebooks.py linear-probe.ipynb $(PARAMETERS)

classify: data  ## run regular-classification.ipynb: make classify RUN=scratch PRETRAINED=False LEARNING_RATE=0.016
	$(BIN)/python scripts/notebooks.py regular-classification.ipynb $(PARAMETERS)

labels: data  ## few labels, from scratch, probed and fine-tuned, into logs/labels.csv: make labels, or N="10 50", N=blocks, N=longer, N=5000, N=adamw, N=adamw-5000, or with another ENCODER
	$(BIN)/python scripts/few_labels.py $(N) $(call but,N)

corruptions: data .venv/ready-dev  ## noise, blur, weather and JPEG on the test images, with and without pre-training, into logs/corruptions.csv
	$(BIN)/python scripts/corruptions.py

mistakes: data  ## where the released classifiers are wrong, and where they look, into logs/mistakes.json and two pictures
	$(BIN)/python scripts/mistakes.py

ablate: data  ## one try of ablations/README.md, into logs/ablations.csv: make ablate NAME=cross-50 SEED=1
	$(BIN)/python ablations/ablate.py $(NAME) $(call but,NAME)

variant: data  ## one try of ablations/README.md trained like the released rows, into runs/; any parameter can follow: make variant NAME=hog
	$(BIN)/python ablations/ablate.py variant $(NAME) $(call but,NAME)

elpv: data .venv/ready-dev  ## does pre-training help to find broken solar cells? into logs/elpv.csv: docs/own-images.md
	$(BIN)/python $(PIP) elpv-dataset==1.0.0.post1
	$(BIN)/python ablations/elpv.py

bench: data .venv-jax/ready .venv-torch/ready  ## how fast it is, beside PyTorch, into logs/bench/; leave the machine alone meanwhile
	$(BIN)/python ablations/bench.py

repeat: data  ## repeat a run from logs/ with the settings it had, or with another SEED: make repeat OF=mae-9x3-mask75-100ep
	$(BIN)/python scripts/notebooks.py repeat '$(OF)' $(call but,OF)

lab: .venv/ready  ## open Jupyter
	$(BIN)/jupyter lab

release: .venv/ready  ## copy a finished run to weights/ and logs/: make release RUN=long AS=mae-9x3-mask75-100ep
	$(BIN)/python scripts/release.py publish '$(RUN)' '$(AS)'
	$(BIN)/python scripts/readme.py

results: .venv/ready  ## rebuild the README's tables from logs/
	$(BIN)/python scripts/readme.py

compare: data  ## two released models on the same images: make compare ENCODERS="mae-3x1-mask75-100ep mae-6x2-mask75-100ep"
	$(BIN)/python scripts/release.py compare $(ENCODERS)

verify: data  ## measure every released model again and compare with its card and the logs; or some: make verify MODELS="NAME NAME"
	$(BIN)/python scripts/release.py verify $(addprefix weights/,$(MODELS))

export: .venv/ready-site  ## ONNX files of a run or a release: make export RUN=mae, or ENCODER=weights/mae-6x2-mask75-100ep
	$(BIN)/python scripts/export.py $(or $(ENCODER),$(if $(RUN),runs/$(RUN)))

site: data .venv/ready-site  ## static pages in build/site/, with a page where you play with a model; needs Node
	cd site && npm ci --silent --no-audit --no-fund
	$(BIN)/python scripts/site.py

address:  ## write REPOSITORY (above) into the README and the notebooks
	$(PYTHON) scripts/readme.py address $(REPOSITORY)

data: .venv/ready  ## bring CIFAR-10 into data/
	@$(BIN)/python scripts/data.py

test: .venv/ready-dev .venv-jax/ready data  ## all tests that need no GPU
	$(BIN)/ruff check *.ipynb scripts ablations tests && $(BIN)/ruff format --check *.ipynb scripts ablations tests
	JAX_PYTHON=.venv-jax/bin/python $(BIN)/python -m pytest -q --durations=8 -n 2 --dist loadfile tests

test-site: .venv/ready-dev site  ## the ONNX files and the pages, in headless Chromium
	$(BIN)/python -m pytest -q tests/test_site.py

test-colab: .venv/ready-dev .venv-colab/ready data  ## the three notebooks and the exported files with Colab's versions
	TF_XLA_FLAGS= COLAB_PYTHON=.venv-colab/bin/python $(BIN)/python -m pytest -q tests -k colab

test-torch: .venv/ready-dev .venv-torch/ready data  ## the exported files on PyTorch
	TORCH_PYTHON=.venv-torch/bin/python $(BIN)/python -m pytest -q tests -k torch

parity: .venv-torch/ready data  ## compare with Hugging Face's ViTMAE, computed now instead of stored
	.venv-torch/bin/python tests/parity.py --live

clean:  ## remove environments, caches and built pages; runs/ and data/ stay
	rm -rf .venv .venv-jax .venv-colab .venv-torch .pytest_cache .ruff_cache build site/node_modules

.venv/ready: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "TensorFlow needs Python 3.11 to 3.13 here: name one with PYTHON=...")'
	@echo "setting up .venv (TensorFlow and Jupyter, about 3 GB on disk, some minutes) ..."
	$(PYTHON) -m venv .venv
	$(BIN)/python $(PIP) -r requirements.txt
	@touch $@

.venv/ready-dev: .venv/ready requirements-dev.txt
	$(BIN)/python $(PIP) -r requirements-dev.txt
	@touch $@

.venv/ready-site: .venv/ready requirements-site.txt
	$(BIN)/python $(PIP) -r requirements-site.txt
	@touch $@

.venv-jax/ready: requirements.txt
	@echo "setting up .venv-jax (JAX, without TensorFlow) ..."
	$(PYTHON) -m venv .venv-jax
	grep -v tensor requirements.txt | .venv-jax/bin/python $(PIP) jax -r /dev/stdin
	@touch $@

.venv-colab/ready: requirements.txt tests/colab.txt
	@echo "setting up .venv-colab (Colab's versions) ..."
	$(PYTHON) -m venv .venv-colab
	.venv-colab/bin/python $(PIP) -r requirements.txt -c tests/colab.txt
	@touch $@

.venv-torch/ready: tests/torch.txt
	@echo "setting up .venv-torch (PyTorch, without TensorFlow) ..."
	$(PYTHON) -m venv .venv-torch
	.venv-torch/bin/python $(PIP) -r tests/torch.txt
	@touch $@
