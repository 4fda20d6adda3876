# The front door. `make demo` shows what FREUD does; `make test` is what CI runs. Both install what they need into
# .venv; nothing else on the machine is touched.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint check-types check-imports check-docs pytest bench docs clean

demo: .venv/installed
	$(BIN)/freud demo --out demo-results

test: lint check-types check-imports check-docs pytest

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "FREUD needs Python 3.11 or newer: make PYTHON=/path/to/python")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) torch
	$(PIP) --editable '.[app]'
	touch $@

.venv/installed-dev: .venv/installed
	$(PIP) --editable '.[dev,docs]'
	$(PIP) --no-deps openai-whisper
	touch $@

lint: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

check-types: .venv/installed-dev
	$(BIN)/pyright

check-imports: .venv/installed-dev
	$(BIN)/lint-imports

check-docs: .venv/installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir .venv/site

pytest: .venv/installed-dev
	$(BIN)/pytest --numprocesses 2 --dist loadfile

bench: .venv/installed-dev
	for script in collect index search memory; do $(BIN)/python benchmarks/$$script.py || exit; done

docs: .venv/installed-dev
	$(BIN)/mkdocs serve

clean:
	rm -rf .venv demo-results
