# The commands of the project. `make` lists them; everything runs in .venv, which is created and updated by itself.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := src tests benchmarks chaos deploy docs
SITE := build/docs
COVERAGE := 88
WORKERS ?= 4
DEPLOY := deploy
COMPOSE := docker compose --file $(DEPLOY)/compose.yaml

# The tests of a file share what is slow to make, so that one worker has them all. Files start in the order of their names:
# the many short ones of tests/unit come last, so that workers end at about the same time. Tests that
# start processes wait more than they compute, which is why there are more workers than cores.
BY_FILE := --dist loadfile --no-loadscope-reorder

# Properties are tried on a fifth of the examples in `make check` outside of CI (tests/conftest.py).
QUICK := $(if $(CI),,--hypothesis-profile quick)

# Compiled files are kept: without them, every worker compiles all of the tests again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test check test-python docs bench chaos soak day mutate gordo format lock check-overlay image-pins sbom up down logs build show-env clean

help: ## List these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: $(VENV)/.ready ## Run the whole of Latigo on a simulated plant; its pages are on http://localhost:8080
	$(BIN)/latigo demo

test: $(VENV)/.ready ## All of check, every other test, the documentation site; real Gordo where a Python 3.10 is found
	@$(MAKE) --jobs --no-print-directory lint collected gordo-if-possible omnia-sdk-if-possible deployment-tools-if-possible
	$(BIN)/pytest -q -n $(WORKERS) $(BY_FILE) --cov --cov-fail-under=$(COVERAGE)

check: $(VENV)/.ready ## Format, lint, types, import rules and unit tests, in under a minute
	@$(MAKE) --jobs --no-print-directory lint quick-tests

test-python: ## The same as check on another Python (PYTHON=python3.13), in an environment of its own
	@version=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])') && \
	    $(MAKE) --no-print-directory check VENV=.venv-$$version

docs: $(VENV)/.ready ## Build the documentation site; a warning is an error
	$(BIN)/python -m sphinx --quiet --fresh-env --nitpicky --fail-on-warning --keep-going -c docs . $(SITE)

bench: $(VENV)/.ready gordo ## Measure Latigo against its peers and limits; with BASE=commit, in turn with that commit (ONLY="wave overhead"; OWN=1: it lacks what the benchmarks of today need)
	@benchmarks/peers/setup.sh
	@tests/omnia_sdk/setup.sh
	$(BIN)/python -m $(if $(BASE),benchmarks.pairs $(BASE) $(if $(OWN),--own),benchmarks) $(if $(ONLY),--only $(ONLY))

chaos: $(VENV)/.ready ## Kill, freeze and cut off processes at random, and check what is left, on each queue or on one (MINUTES=20, SEED=number, QUEUE=postgres, SINK=influx, MODELS=2000, EXECUTORS=4)
	$(BIN)/python -m chaos --minutes $(or $(MINUTES),20) $(if $(SEED),--seed $(SEED)) $(if $(QUEUE),--queue $(QUEUE)) \
	    $(if $(SINK),--sink $(SINK)) $(if $(MODELS),--models $(MODELS)) $(if $(EXECUTORS),--executors $(EXECUTORS))

soak: $(VENV)/.ready ## Run 100 000 tasks on each queue, or on one, while everything is killed in turn; check values, memory and rows (QUEUE=eventhub, TASKS=, KILLS=, SEED=)
	$(BIN)/python -m chaos.soak $(if $(QUEUE),--queue $(QUEUE)) --tasks $(or $(TASKS),100000) --kills $(or $(KILLS),50) \
	    $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

day: $(VENV)/.ready ## Let a day with many troubles pass on real processes and a fast clock, and 8 days without each part (SPEED=120, ONLY="a day")
	$(BIN)/python -m chaos.days $(if $(SPEED),--speed $(SPEED)) $(if $(ONLY),--only "$(ONLY)")

mutate: $(VENV)/.ready ## Change the pure and the ledger's code in one place at a time, and count what the tests notice (an hour at most)
	$(BIN)/python -m benchmarks.mutation

gordo: ## Install real Gordo 6.0.4 in a Python 3.10 of its own and train small models; cached outside of the repository
	@tests/real_gordo/setup.sh

format: $(VENV)/.ready ## Format the code, and fix what ruff can fix
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

lock: ## Resolve the pinned versions again (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	    --extra azure --extra embedded --extra eventhub --extra influx --extra plots pyproject.toml -o requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	    --extra azure --extra embedded --extra eventhub --extra influx --extra plots --group dev -c requirements.txt pyproject.toml -o requirements-dev.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	    --extra azure --extra eventhub --extra influx -c requirements.txt pyproject.toml -o requirements-image.txt
	deploy/tools/lock.sh

check-overlay: $(VENV)/.ready deployment-tools-if-possible ## Check a filled-in OVERLAY=deploy/kubernetes/overlays/plant before it is applied
	@deploy/tools/check.sh $(OVERLAY)

image-pins: ## Write the digests of all images into Dockerfile and deploy/compose.yaml (needs docker)
	@deploy/image/pins.sh Dockerfile deploy/compose.yaml

sbom: $(VENV)/.ready deployment-tools-if-possible ## Build the environment of the image in build/image, and list what it holds in build/latigo.cdx.json
	rm -rf build/image
	PYTHON=$(BIN)/python sh deploy/image/build.sh . build/image
	deploy/image/sbom.sh build/image build/latigo.cdx.json

up: $(DEPLOY)/.env ## Start all of Latigo by Docker Compose, or SERVICE=scheduler alone; rebuilt where the source has changed
	$(COMPOSE) up --build --detach --wait $(SERVICE)

down: ## Stop what `make up` has started; volumes stay
	$(COMPOSE) down

logs: ## Follow the logs of all services, or of SERVICE=scheduler
	$(COMPOSE) logs --follow $(SERVICE)

build: $(DEPLOY)/.env ## Build the image
	$(COMPOSE) build

show-env: $(VENV)/.ready ## Show the settings in effect, secrets masked, and the names of the variables that set some of them
	@$(BIN)/latigo config
	@env | sed -n 's/^\(LATIGO_[A-Z_0-9]*\)=.*/# set by \1/p' | sort

$(DEPLOY)/.env:
	@sh $(DEPLOY)/make-secrets.sh && cp $(DEPLOY)/env.example $@
	@echo "Fill in $@: which Gordo, which project, which models" >&2 && false

clean: ## Remove the environment and all caches of this folder
	rm -rf $(VENV) .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage build mutants

.PHONY: lint style rules types imports collected quick-tests gordo-if-possible omnia-sdk-if-possible deployment-tools-if-possible
lint: style rules types imports

style: $(VENV)/.ready
	$(BIN)/ruff format --check --quiet $(SOURCES)

rules: $(VENV)/.ready
	$(BIN)/ruff check --quiet $(SOURCES)

types: $(VENV)/.ready
	$(BIN)/mypy

imports: $(VENV)/.ready
	$(BIN)/lint-imports --no-logo
	@web/types/check.sh

# Compiles the tests, and what they import, once for all workers.
collected: $(VENV)/.ready
	@mkdir -p build && $(BIN)/pytest -q --collect-only >build/collected.txt 2>&1 || { cat build/collected.txt; false; }

quick-tests: $(VENV)/.ready
	$(BIN)/pytest -q -n 2 --dist worksteal $(QUICK) tests/unit tests/docs

# Without a Python 3.10, the tests that need it are skipped by name; CI requires it.
gordo-if-possible:
	@tests/real_gordo/setup.sh || { test -z "$$CI" && echo "real Gordo is not available: its tests are skipped"; }

# The official client of the Timeseries API, in an environment of its own: its requirements do not go with ours.
omnia-sdk-if-possible: $(VENV)/.ready
	@tests/omnia_sdk/setup.sh || { test -z "$$CI" && echo "the official client is not available: its tests are skipped"; }

# kubectl, and the schemas against which the files of deploy/ are checked.
deployment-tools-if-possible: $(VENV)/.ready
	@deploy/tools/setup.sh || { test -z "$$CI" && echo "the tools of deploy/ are not available: their tests are skipped"; }

$(VENV)/.ready: requirements-dev.txt pyproject.toml hatch_build.py web/package-lock.json
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Latigo needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=...")'
	@if command -v uv >/dev/null; then \
	    uv venv --quiet --allow-existing --python $(PYTHON) $(VENV) && \
	    uv pip sync --quiet --python $(BIN)/python --require-hashes requirements-dev.txt && \
	    uv pip install --quiet --python $(BIN)/python --no-deps --editable . ; \
	else \
	    $(PYTHON) -m venv $(VENV) && \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt && \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable . ; \
	fi
	@touch $@
