# Two commands set everything up: `make repro` and `make test`.
# The environment lives in .venv and holds exactly what requirements.txt locks;
# it is built with uv where that is installed, with venv and pip where it is not.

PYTHON ?= python3
BIN := .venv/bin
# The pipeline's stages call `python`: it must be the environment's own.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
# Tests of one file share what they prepare.
TWO_AT_A_TIME := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: repro test test-long lint lock bench clean help
.DEFAULT_GOAL := help

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 - \2/p' Makefile

repro: .dvc/plots_page.html  ## build the environment, then run the pipeline
	dvc repro

test: .venv/installed  ## every test that needs no long training
	python -m pytest $(TWO_AT_A_TIME) -m "not long"

test-long: .venv/installed  ## all tests, a whole run on real data among them (HAM10000_DIR)
	python -m pytest $(TWO_AT_A_TIME)

lint: .venv/installed  ## ruff and mypy
	ruff check .
	ruff format --check .
	mypy

lock: .venv/installed  ## pin the newest packages that fit requirements.in, with hashes
	uv pip compile --quiet --upgrade --universal --fork-strategy fewest --python-version 3.11 \
	  --generate-hashes --no-annotate --custom-compile-command "make lock" \
	  --output-file requirements.txt requirements.in

bench: .venv/installed  ## every benchmark, in benchmarks/RESULTS.md (HAM10000_DIR, HAM10000_FULL_SIZE_DIR)
	python benchmarks/collect.py

clean:  ## remove the environment and what tools left behind, never data or results
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis lesions.egg-info build
	find lesions stages tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

# With it, `dvc plots show` and `dvc plots diff` need no network.
.dvc/plots_page.html: .venv/installed lesions/commands/dvc_plots_page.py
	python -m lesions.commands.dvc_plots_page

# The stamp is written last, so an installation that was cut off starts again.
.venv/installed: requirements.txt pyproject.toml
	rm -rf .venv
	if command -v uv >/dev/null; then \
	  uv venv --quiet --python $(PYTHON) .venv && \
	  uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements.txt && \
	  uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation -e . ; \
	else \
	  $(PYTHON) -m venv .venv && \
	  python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt && \
	  python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	touch $@
