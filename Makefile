# Everything runs from the project's own virtual environment; `make help` lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.countersign-setup
UV_VERSION := 0.13.8
PYTEST ?= $(BIN)/python -m pytest
JOBS ?= 2

.PHONY: help setup demo test lint format unit browser bench chaos picture lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk 'BEGIN {FS = ":.*## "} {printf "  make %-9s %s\n", $$1, $$2}'

setup: $(STAMP) ## create .venv with everything pinned in requirements.lock (quick when nothing changed)

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "setup: $(PYTHON) is missing; install Python 3.11 or newer (PYTHON=… names another)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "setup: $$($(PYTHON) --version) is too old; install Python 3.11 or newer, then make setup PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "setup: Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/uv --version 2>/dev/null | grep -qF "$(UV_VERSION)" || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: setup ## the main job on this machine: server, local Slack workspace, scripted model (Ctrl-C stops it)
	@exec $(BIN)/countersign demo

test: setup browser lint ## lint, types, layers, and every test
	$(PYTEST) -n $(JOBS)

lint: setup ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

unit: setup ## the quick tests alone
	$(PYTEST) -n $(JOBS) tests/unit

browser: setup ## a Chromium for the browser tests
	@BIN=$(BIN) .ci/browser

bench: setup ## benchmarks against the raw driver in the same run (BENCH=full: all sizes; PEERS=1: others too)
	@test -z "$(PEERS)" || test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	@test -z "$(PEERS)" || .venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers/requirements.txt
	BENCH=$(BENCH) $(BIN)/python -m benchmarks

chaos: setup ## the long fault runs: kills at every failpoint, races, replicas, the state machine (hours; ONLY="crashes and sqlite": some)
	COUNTERSIGN_CHAOS=long $(PYTEST) -n $(JOBS) tests/chaos $(if $(ONLY),-k "$(ONLY)")

picture: setup browser ## draw docs/card.png anew from the demo's page
	$(BIN)/python docs/make_card.py

lock: setup ## resolve the dependencies anew into requirements.lock
	$(BIN)/uv lock --quiet --upgrade
	$(BIN)/uv export --quiet --format requirements-txt --all-groups --all-extras --no-emit-project --no-header -o requirements.lock

clean: ## remove what the targets made
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis test-results
