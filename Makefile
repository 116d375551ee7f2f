# Kintsugi: every command a person needs. `make` alone lists them. Needs Python 3.11+ and make; everything else is
# fetched by hash into .venv and a cache.

SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
DISTRIBUTIONS := libs/contracts libs/events libs/country libs/common \
  $(patsubst %/pyproject.toml,%,$(wildcard services/*/pyproject.toml)) office sandbox
STAMP := .venv/.ready
# The official AsyncAPI parser, by lock.
NODE_STAMP := infra/node/node_modules/.ready
# Where mypy finds the distributions' sources.
SOURCES := $(subst $() $(),:,$(foreach folder,$(DISTRIBUTIONS),$(folder)/src) .)

.DEFAULT_GOAL := help
.PHONY: help setup demo up down status doctor practice test lint docs format slow faults upgrade bench lock jars clean

help: ## List the targets.
	@echo "Kintsugi. Fictional data only."
	@echo
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 18

setup: $(STAMP) ## Make .venv with exactly the locked packages (about 200 MB the first time).

$(STAMP): requirements.lock $(wildcard $(addsuffix /pyproject.toml,$(DISTRIBUTIONS)))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Kintsugi needs Python 3.11 or newer; '$(PYTHON)' is `$(PYTHON) --version 2>&1`."; \
	  echo "Install one and name it: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo "Making .venv: about 200 MB of Python packages, checked by hash, kept in pip's cache for next time."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { \
	  rm -rf .venv; echo "python3 -m venv failed: on Debian and Ubuntu run: sudo apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar on \
	  --require-hashes --only-binary :all: -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	  $(foreach folder,$(DISTRIBUTIONS),--editable $(folder))
	@touch $@

demo: $(STAMP) ## Carry 60 fictional cases through the whole flow, break things on the way, and check every effect.
	@$(BIN)/kintsugi demo

up: $(STAMP) ## Start the office in the foreground (DETACH=1: in the background; PROFILE=all-in-one: one process).
	@$(BIN)/kintsugi up --profile $(or $(PROFILE),processes) $(if $(DETACH),--detach)

down: $(STAMP) ## Stop the office that runs in the background.
	@$(BIN)/kintsugi down

status: $(STAMP) ## Show what runs, its lag, and what is held.
	@$(BIN)/kintsugi status

doctor: $(STAMP) ## Say what is wrong with this machine or this office, and how to fix it.
	@$(BIN)/kintsugi doctor

$(NODE_STAMP): infra/node/package-lock.json $(STAMP)
	@$(BIN)/python -m kintsugi_contracts.node install infra/node

practice: $(STAMP) ## Start a share topic with fictional records to write a subscriber against (FOLDER=build/partner).
	@$(BIN)/python -m examples.practice $(or $(FOLDER),build/partner)

test: lint $(NODE_STAMP) ## Check style, types and import rules, then run all tests but the long ones.
	@$(BIN)/pytest -m "not slow or demo or whole" -n $(or $(WORKERS),2) --dist loadscope $(ARGS)

lint: $(STAMP) ## Check style, types, import rules and contracts (AGAINST=origin/main: releases too as they stand there).
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@MYPYPATH=$(SOURCES) $(BIN)/mypy --strict $(foreach folder,$(DISTRIBUTIONS),$(folder)/src) $(wildcard services/*/tests) tests bench \
	  infra/container/lock.py infra/container/own.py \
	  examples/practice examples/subscribe-python/subscribe.py
	@PYTHONPATH=$(SOURCES) $(BIN)/lint-imports --no-logo
	@$(BIN)/python -m kintsugi_contracts.generate --check
	@PYTHONPATH=$(SOURCES) $(BIN)/python -m kintsugi_share.schemas --check
	@$(BIN)/kintsugi contracts check $(if $(AGAINST),--against $(AGAINST))
	@$(BIN)/python -m kintsugi_contracts.asyncapi --check
	@$(BIN)/kintsugi country check xa

docs: $(NODE_STAMP) ## Make pages of the AsyncAPI documents; build/docs/asyncapi/index.html.
	@$(BIN)/python -m kintsugi_contracts.asyncapi.pages

format: $(STAMP) ## Put the code in its house style.
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

slow: $(STAMP) ## Run the long tests that make test leaves out: each seeded bug must fail the demonstration.
	@$(BIN)/pytest -m "slow and not demo and not whole" tests/e2e tests/integration $(ARGS)

faults: $(STAMP) ## Break real processes, Kafka and PostgreSQL at random (RUNS=100 SEED=7); build/faults.json.
	@KINTSUGI_FAULT_RUNS=$(or $(RUNS),20) KINTSUGI_FAULT_SEED=$(or $(SEED),1) $(BIN)/pytest tests/faults --timeout 3600 $(ARGS)

upgrade: $(STAMP) ## Start this release on an office that the earlier one left in the middle of its work, and beside it.
	@$(BIN)/pytest tests/upgrade $(ARGS)

bench: $(STAMP) ## Measure against the floor and the tutorial way; build/bench.json.
	@$(BIN)/python -m bench

lock: $(STAMP) ## Resolve the Python packages anew and rewrite requirements.lock.
	@printf '%s\n' pip hatchling editables $(foreach folder,$(DISTRIBUTIONS),'-e ./$(folder)') | $(BIN)/uv pip compile \
	  --quiet --universal --generate-hashes --python-version 3.11 --no-annotate --no-header --group dev \
	  $(addprefix --no-emit-package kintsugi-,$(notdir $(DISTRIBUTIONS))) \
	  --output-file requirements.lock -
	@$(BIN)/python infra/container/lock.py
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-annotate --no-header \
	  --constraint requirements.lock --output-file examples/subscribe-python/requirements.txt \
	  examples/subscribe-python/requirements.in

jars: $(STAMP) ## Resolve the jars of Apache Kafka and of the Java example anew and rewrite their locks.
	@$(BIN)/python -m kintsugi_sandbox.embedded.jars
	@$(BIN)/python -m tests.e2e.subscriber_java

clean: ## Remove what was built or kept: the office's data, build/ and caches (.venv stays).
	@if test -x $(BIN)/kintsugi; then $(BIN)/kintsugi empty --yes; fi
	@rm -rf build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
