# make repro   run the experiment        make test   lint and tests
# Each sets up .venv first when it is missing or older than requirements.lock. An own environment: make VENV=/path repro
PYTHON ?= python3
VENV ?= .venv
INSTALLED = $(VENV)/.installed
export PATH := $(abspath $(VENV))/bin:$(PATH)
export PYTHONPATH := src
# Nothing may reach for a network while it runs.
export HF_HUB_OFFLINE ?= 1

.PHONY: help repro test lint baselines clean
help:
	@grep -E '^# make|^#  ' Makefile

repro: $(INSTALLED)
	dvc repro
	@python -m zerostart.comparison

test: $(INSTALLED) lint
	pytest -q

lint: $(INSTALLED)
	ruff check --quiet
	ruff format --check --quiet

# Phase 1: train the shipped baselines again (hours on a CPU; the COCO weights are not part of this repository).
baselines: $(INSTALLED)
	dvc repro pipelines/detector/dvc.yaml

$(INSTALLED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis dvc_plots
