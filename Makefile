# Everything a person or a machine does with a checkout. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
# Each worker takes a core; a file's tests stay together, so that they share what they set up.
PYTEST := $(BIN)/python -m pytest -q -n auto --dist loadfile
# pytest's exit status for "nothing selected", which is no mistake where a mark selects.
NO_TESTS_YET := test $$? -eq 5
ARGS ?=
# How long nightly keeps a real Slurm under load.
SOAK_MINUTES ?= 120

.PHONY: help setup setup-dev setup-browser setup-postgres setup-slurm setup-prometheus setup-jupyter run test fault check format lint types \
        layers docs \
        nightly golden requirements clean

help: ## List what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: .venv/.setup ## Make .venv with the dure command in it
	@:

setup-dev: .venv/.setup-dev ## The same, and the tools that check it
	@:

.venv/.setup: requirements.txt pyproject.toml tools/setup.sh .venv/bin/python
	@tools/setup.sh run

# Made by setup.sh. Missing also when the Python under it was removed: then all is set up anew.
.venv/bin/python: ;

.venv/.setup-dev: .venv/.setup requirements-dev.txt
	@tools/setup.sh dev

setup-browser: ## Bring Debian's chromium for the browser tests, if it is missing and we may
	@tools/setup-browser.sh

setup-postgres: ## Bring Debian's PostgreSQL for the tests of ledgers in it, likewise
	@tools/setup-postgres.sh

setup-slurm: ## Bring Debian's Slurm for the tests on a real one, if it is missing and we may
	@tools/setup-slurm.sh

setup-prometheus: ## Bring Debian's prometheus for the tests of its meter, likewise
	@tools/setup-prometheus.sh

setup-jupyter: ## Bring Debian's Jupyter for the tests of sessions, likewise
	@tools/setup-jupyter.sh

run: setup ## Start the platform on http://127.0.0.1:8470 (ARGS="--port 9000" is passed on)
	@exec $(BIN)/dure up $(ARGS)

test: setup-dev setup-browser setup-postgres setup-slurm setup-prometheus setup-jupyter ## Run the tests (ARGS="-k lending" is passed on)
	@$(PYTEST) $(ARGS)

check: setup-dev setup-browser setup-postgres setup-slurm setup-prometheus setup-jupyter format lint types layers ## Format, lint, types, layers, tests, docs
	@echo "check: tests and docs"
	@$(PYTEST) -m "not slow and not toolchain" $(ARGS)

format: setup-dev
	@echo "check: format" && $(BIN)/ruff format --check .

lint: setup-dev
	@echo "check: lint" && $(BIN)/ruff check .

types: setup-dev
	@echo "check: types" && $(BIN)/mypy

layers: setup-dev
	@echo "check: layers" && $(BIN)/lint-imports --no-logo

docs: setup-dev ## Check the docs alone: links, a line for each dependency
	@$(BIN)/python -m pytest -q tests/architecture/test_docs.py

nightly: setup-dev setup-browser setup-postgres setup-slurm setup-prometheus setup-jupyter ## The slow tests, a year, a soak on Slurm (SOAK_MINUTES=120)
	@DURE_HYPOTHESIS=nightly $(PYTEST) -m slow $(ARGS) || $(NO_TESTS_YET)
	@$(BIN)/dure bench year
	@$(BIN)/python -m tests.slurm_soak --minutes $(SOAK_MINUTES)

fault: setup-dev setup-postgres ## Do the fault plan and print a table (ARGS="-k SQLite" is passed on)
	@$(BIN)/python -m tests.faults.run $(ARGS)

golden: setup-dev ## Rewrite the golden files; review the change as a diff
	@DURE_GOLDEN=1 $(PYTEST) -m golden $(ARGS) || $(NO_TESTS_YET)
	@git status --short -- tests/golden

requirements: setup-dev ## Renew requirements*.txt from pyproject.toml (needs uv; see CONTRIBUTING.md)
	@tools/requirements.sh

clean: ## Remove all that was made here; data/ stays
	@rm -rf .venv dist build .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
