# Everything that a developer or CI runs. Each target sets up what it needs; a second run is quick.
SHELL := /bin/sh
PYTHON_BIN := .venv/bin/python
STAMP := .venv/installed
# Three at a time on two cores: a test that waits for a broker leaves its core to another. What takes
# longest begins (tests/conftest.py).
SIDE_BY_SIDE := --numprocesses 3 --no-loadscope-reorder
# Some machines keep Python from keeping what it compiled; hundreds of processes start from it here.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-compose faults faults-of-the-checker fuzz bench lint format docs lock clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

# The stamp is newer than the lock when the environment is what the lock says.
$(STAMP): requirements.lock requirements-dev.lock pyproject.toml deploy/setup.sh
	@sh deploy/setup.sh
	@touch $@

setup: $(STAMP) ## Make .venv from the lock, hashes checked

demo: $(STAMP) ## Run ten working days of the office, then the clock to the end
	@.venv/bin/banka demo

test: $(STAMP) ## Unit, contract, integration, end to end, small faults, pages
	@sh deploy/browser.sh
	@$(PYTHON_BIN) -m pytest $(SIDE_BY_SIDE)

test-compose: $(STAMP) ## Bring up the deployment in Docker, run the demo's day against it
	@$(PYTHON_BIN) -m deploy.compose_check

faults: $(STAMP) ## Every fault, on a small office under load, and a thousand races; resumes
	@$(PYTHON_BIN) -m tests.faults
	@BANKA_RACES=1000 BANKA_CUSTOMERS=500 $(PYTHON_BIN) -m pytest tests/faults/test_small_faults.py \
		tests/faults/test_withdrawal_race.py

faults-of-the-checker: $(STAMP) ## Kernels broken on purpose: the checker has to notice each
	@$(PYTHON_BIN) -m tests.faults --of-the-checker

fuzz: $(STAMP) ## Everything that comes in, fuzzed for minutes; FUZZ="--minutes 30 --seed 7"
	@$(PYTHON_BIN) -m tests.fuzz $(FUZZ)

bench: $(STAMP) ## Lifecycles per second, latencies and cost, against a plain pipeline
	@$(PYTHON_BIN) -m tests.bench

lint: $(STAMP) ## Format, lint, types, import rules
	@.venv/bin/ruff format --check
	@.venv/bin/ruff check
	@.venv/bin/mypy
	@.venv/bin/lint-imports

format: $(STAMP) ## Put the sources in shape
	@.venv/bin/ruff format
	@.venv/bin/ruff check --fix

docs: $(STAMP) ## Write AsyncAPI, schemas and diagrams from the sources
	@.venv/bin/banka events write-docs

# One resolution for Python 3.11 and later; no index address goes into the lock.
COMPILE := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links
lock: ## Resolve pyproject.toml anew, keeping pinned versions where they still fit
	@test -x .venv/bin/uv || sh deploy/setup.sh
	@$(COMPILE) pyproject.toml --output-file requirements.lock
	@$(COMPILE) pyproject.toml --group reading --constraint requirements.lock \
		--output-file requirements-reading.lock
	@$(COMPILE) pyproject.toml --group dev --constraint requirements.lock \
		--constraint requirements-reading.lock --output-file requirements-dev.lock

clean: ## Stop the local stacks and remove what was built, state included
	@if [ -x .venv/bin/banka ]; then .venv/bin/banka stack purge; fi
	@rm -rf .venv .banka .mypy_cache .ruff_cache .pytest_cache .hypothesis test-results
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
