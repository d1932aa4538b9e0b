# Two commands set everything up: `make repro` and `make test`.
# The environment lives in .venv: what requirements.txt locks, and for tests, lint and benchmarks what
# requirements-dev.txt locks beside. uv installs it where there is one, else pip.

# Named, so that macOS's make, of 2006, leaves plain commands to it: by itself it may search the PATH it was started with.
SHELL := sh
PYTHON ?= python3
BIN := .venv/bin
# The pipeline's stages call `python`: it must be the environment's own.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
# DVC wants a name, which a container's user id may lack.
export USER ?= lesions
# Tests of one file share what they prepare.
TWO_AT_A_TIME := -n 2 --dist loadfile --no-loadscope-reorder

# The environment's own uv cannot build the environment anew.
ifneq ($(filter-out $(CURDIR)/$(BIN)/%,$(shell command -v uv)),)
VENV := uv venv --quiet --python $(PYTHON) .venv
INSTALL := uv pip install --python $(BIN)/python
# As pip does by itself: else the first run would, one package after the other.
BYTECODE := --compile-bytecode
else
VENV := $(PYTHON) -m venv .venv
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check
endif
COMPILE := uv pip compile --quiet --upgrade --universal --fork-strategy fewest --python-version 3.11 \
  --generate-hashes --no-annotate --custom-compile-command "make lock" pyproject.toml

define NEXT

Open in a browser:
  reports/model_card.html  what the model does, its metrics and its limits
  reports/data.html        what is in the images and their table
  dvc_plots/index.html     the plots: `dvc plots show` writes it

Next:
  . .venv/bin/activate     makes `dvc` and `lesions` commands of this shell
  dvc metrics show         the metrics; `lesions metrics`: of all experiments
  params.yaml              change a value, then `dvc repro`: docs/experiments.md
  images of your own       docs/own_data.md
endef
export NEXT

define NO_GIT
ERROR: this folder has no .git: it came as an archive, without its history. Clone the project instead; or, to run it
without experiments and comparisons:
  printf '[core]\n    no_scm = true\n' >> .dvc/config.local
endef
export NO_GIT

.PHONY: can-run install repro test test-long release-check lint lock bench clean help
.DEFAULT_GOAL := help

help:  ## this list
	@sed -n 's/^\([a-z%-]*\):.*## \(.*\)/  make \1 - \2/p' Makefile

install: .venv/installed  ## build the environment alone

repro: can-run .dvc/plots_page.html  ## build the environment, then run the pipeline
	lesions check
	dvc repro
	@printf '%s\n' "$$NEXT"

# Before minutes of installing: DVC needs Git, unless told otherwise, and a folder that it can write.
can-run:
	@[ -w . ] || { echo "ERROR: $(CURDIR) cannot be written. Copy the project to a folder that can." >&2; exit 1; }
	@[ -e .git ] || git rev-parse --git-dir > /dev/null 2>&1 || grep -qs 'no_scm = true' .dvc/config .dvc/config.local \
	  || { printf '%s\n' "$$NO_GIT" >&2; exit 1; }

test: .venv/installed-dev  ## every test that needs no long training
	python -m pytest $(TWO_AT_A_TIME) -m "not long and not release"

test-long: .venv/installed-dev  ## these and long ones, a whole run on real data among them (HAM10000_DIR)
	python -m pytest $(TWO_AT_A_TIME) -m "not release"

release-check: .venv/installed-dev  ## whether the results in Git are those of this code
	python -m pytest tests/project/test_release.py

lint: .venv/installed-dev  ## ruff and mypy, and zizmor for the hosted workflows
	ruff check .
	ruff format --check .
	mypy
	zizmor --quiet --offline --strict-collection .github/workflows

# The small lock is a part of the large one: what all together need decides the versions.
lock: .venv/installed-dev  ## pin the newest packages that pyproject.toml allows, with hashes
	$(COMPILE) --all-extras --group dev --output-file requirements-dev.txt
	$(COMPILE) --constraint requirements-dev.txt --output-file requirements.txt

bench: .venv/installed-dev  ## every benchmark, in benchmarks/RESULTS.md (HAM10000_DIR, HAM10000_FULL_SIZE_DIR)
	python benchmarks/collect.py

clean:  ## remove the environment and what tools left behind, never data or results
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis lesions.egg-info build
	find lesions stages tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

# pip takes no hashes beside a folder, so these are held by their versions alone.
extra-%: .venv/installed  ## what only some need: extra-cluster, extra-export, extra-s3
	sed -e 's/ \\$$//' -e '/--hash/d' requirements-dev.txt > .venv/versions.txt
	$(INSTALL) --constraint .venv/versions.txt --no-build-isolation --editable '.[$*]'

# With it, `dvc plots show` and `dvc plots diff` need no network.
.dvc/plots_page.html: .venv/installed lesions/commands/dvc_plots_page.py lesions/commands/dvc_plots_page.html.jinja \
  lesions/commands/dvc_plots_page.js.jinja
	python -m lesions.commands.dvc_plots_page

# The stamps are written last, so an installation that was cut off starts again.
.venv/installed: requirements.txt pyproject.toml
	rm -rf .venv
	$(VENV)
	@echo "Installing what requirements.txt locks into .venv: 2.1 GB (0.5 to fetch), most of it TensorFlow. The packages are"
	@echo "then compiled, which takes a minute or less on two idle cores."
	$(INSTALL) $(BYTECODE) --require-hashes --requirement requirements.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	@echo "Installing what tests, lint and benchmarks need beside: 0.4 GB."
	$(INSTALL) --require-hashes --requirement requirements-dev.txt
	touch $@
