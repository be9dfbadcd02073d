# Every target creates what it needs in .venv and reuses it until pyproject.toml or constraints.txt change.
# Another interpreter: make demo PYTHON=python3.12

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
NEEDS  := $(VENV)/pyvenv.cfg pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test slow gpu lint format docs pages bench clean
.NOTPARALLEL:

help:
	@echo "make demo    train four posteriors on embedded digits; a table and a page of pictures"
	@echo "make test    the fast tests          make slow    the long ones"
	@echo "make gpu     the tests that need a GPU"
	@echo "make lint    ruff and mypy           make format  let ruff rewrite the code"
	@echo "make docs    the documentation, its examples run"
	@echo "make pages   tables and figures of README and docs, from their results files"
	@echo "make bench   speed beside other libraries"
	@echo "make clean   remove .venv, caches and built pages (runs/ and results/ stay)"

demo: $(VENV)/.stamp-run
	$(BIN)/flowvae demo

test: $(VENV)/.stamp-test
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal

slow: $(VENV)/.stamp-test
	$(BIN)/python -m pytest -m slow

gpu: $(VENV)/.stamp-test
	$(BIN)/python -m pytest -m gpu

lint: $(VENV)/.stamp-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.stamp-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.stamp-docs
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -q -b doctest docs docs/_build/doctest
	@echo "docs/_build/html/index.html"

pages: $(VENV)/.stamp-run
	@$(BIN)/python -c "from pathlib import Path; from flowvae.report.pages import refresh; print(*refresh(Path()), sep='\n')"
	$(BIN)/python -m benchmarks table --into docs/speed.md
	$(BIN)/python -m benchmarks.densities --into docs/studies.md

bench: $(VENV)/.stamp-bench
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist docs/_build docs/_generated .pytest_cache .ruff_cache .mypy_cache
	find src tests docs benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "flowvae needs Python >= 3.11; got '$(PYTHON)' ($$($(PYTHON) --version 2>&1)):" \
	       "make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.stamp-run: $(NEEDS)
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	@touch $@

$(VENV)/.stamp-%: $(NEEDS)
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[$*]"
	@touch $@
