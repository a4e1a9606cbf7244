# Every target does its own set-up and is quick the second time. `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV := $(shell command -v uv)
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LIVE_INSTALLED := $(VENV)/.installed-live
PACKAGES := core ingest pipeline reconcile devstack

# A process a core and one more, since each waits for its stand-ins at times; the tests of a file stay together.
PARALLEL ?= -n $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1) --maxprocesses 4 --dist loadscope --no-loadscope-reorder

# They test SQL, and run hardly any Python of ours, yet coverage would follow every call of dbt and of the local BigQuery.
SQL_TESTS := tests/googlesql tests/integration/dbt tests/integration/dbt_zones tests/integration/quality

# Without compiled modules every one of our many short processes would start three seconds later.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test googlesql lint format docs bench bench-ingest bench-reconcile bench-warehouse live clean lock

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Make the environment from the lock file

demo: $(INSTALLED) ## Run the whole river on local stand-ins
	@$(BIN)/devstack demo

test: $(INSTALLED) ## Run every test, with the coverage of Python
	@mkdir -p build/coverage
	@$(BIN)/pytest $(PARALLEL) $(SQL_TESTS) $(PYTEST_ARGS)
	@$(BIN)/pytest $(PARALLEL) $(SQL_TESTS:%=--ignore=%) --cov --cov-report=term $(PYTEST_ARGS)

googlesql: $(INSTALLED) ## Have Google's own analyzer check every statement (part of make test)
	@$(BIN)/pytest tests/googlesql $(PYTEST_ARGS)

lint: $(INSTALLED) ## Check style, types and SQL
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/devstack run --folder build/lint-stack -- sqlfluff lint dbt_project

format: $(INSTALLED) ## Put Python and SQL into the house style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/devstack run --folder build/lint-stack -- sqlfluff fix dbt_project

docs: $(INSTALLED) ## Generate the dbt docs, with lineage, and the command reference
	@$(BIN)/devstack docs

bench: $(INSTALLED) ## Measure the river against its peers; writes build/bench
	@$(BIN)/python -m bench

bench-ingest: $(INSTALLED) ## Measure the ingester: cost of an event, latency, memory
	@$(BIN)/python -m bench ingest

bench-reconcile: $(INSTALLED) ## Measure reconciliation against a scan and its peers
	@$(BIN)/python -m bench reconcile

bench-warehouse: $(INSTALLED) ## Measure builds of the zones, and an increment against a rebuild
	@$(BIN)/python -m bench warehouse

live: $(LIVE_INSTALLED) ## Capture from a real PostgreSQL with a real Debezium
	@$(BIN)/devstack live

clean: ## Remove everything a run makes, but not the environment
	@if [ -x $(BIN)/devstack ]; then $(BIN)/devstack down --quiet || true; fi
	@rm -rf build target logs dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

lock: ## Pin the dependencies anew (needs uv)
	@for name in "requirements:--extra local --extra postgresql --extra snowflake --extra delta --extra iceberg --extra test --extra dev" \
	  "requirements.live:--extra local --extra postgresql --extra snowflake --extra delta --extra iceberg --extra live --extra test" "requirements.runtime:"; do \
	  touch requirements.lock; \
	  uv pip compile pyproject.toml --no-strip-extras $${name#*:} -c requirements.lock --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-annotate --no-header -q -o $${name%%:*}.lock; \
	done

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed; set PYTHON to its path" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or later is needed, $(PYTHON) is older; set PYTHON to a newer one" >&2; exit 1; }
	@echo "Making the environment in $(VENV)"
ifdef UV
	@uv venv --quiet --allow-existing --python $(PYTHON) $(VENV)
else
	@$(PYTHON) -m venv $(VENV)
endif

# install LOCKFILE: exactly the pinned versions, each checked against its hash, then this project itself.
ifdef UV
install = uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r $(1) \
  && uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
else
# An environment that uv made has no pip of its own. The lock names every package, so that pip need not work out which
# ones; compiled by all cores, the modules take half the time.
install = { test -x $(BIN)/pip || $(BIN)/python -m ensurepip --default-pip >/dev/null; } \
  && $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --no-compile -r $(1) \
  && $(BIN)/python -m compileall -q -j 0 $(VENV)/lib \
  && $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
endif

$(INSTALLED): requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing what requirements.lock pins (a minute or two the first time)"
	@$(call install,requirements.lock)
	@touch $@

$(LIVE_INSTALLED): requirements.live.lock $(INSTALLED)
	@echo "Installing PostgreSQL, Java and Debezium (about 350 MB the first time)"
	@$(call install,requirements.live.lock)
	@touch $@
