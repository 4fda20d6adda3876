# The front door. `make demo` shows what FREUD does; `make test` is what CI runs. Both install what they need into
# .venv and web/node_modules; nothing else on the machine is touched, but root gets Debian's chromium for the tests.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint check-types check-imports check-docs check-web pytest pytest-processors bench docs web clean

# Ends in a browser, until Ctrl-C; not where there is nobody to look (no terminal, CI, or NO_SERVE=1).
demo: .venv/installed
	$(BIN)/freud demo --out demo-results
	@if [ -z "$(NO_SERVE)$(CI)" ] && [ -t 1 ]; then $(BIN)/freud serve demo-results; \
	else echo; echo "see and hear it: $(BIN)/freud serve demo-results"; fi

test: lint check-types check-imports check-docs check-web pytest pytest-processors

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "FREUD needs Python 3.11 or newer: make PYTHON=/path/to/python")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) torch
	$(PIP) --editable '.[app]'
	touch $@

.venv/installed-dev: .venv/installed
	$(PIP) --editable '.[dev,docs]'
	$(PIP) --no-deps openai-whisper
	command -v chromium >/dev/null || [ "$$(id -u)" != 0 ] || { apt-get update -qq && apt-get install -qq --no-install-recommends chromium; }
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

web/node_modules: web/package-lock.json
	cd web && npm ci --no-audit --no-fund
	touch $@

# The built web app is committed, so that users need no Node.
web: web/node_modules
	cd web && npm run --silent api && npm run --silent check && npm run --silent build

check-web: web
	git diff --exit-code -- src/freud/server/static web/src/api || { echo 'the built web app is not that of web/src: commit what `make web` made' >&2; exit 1; }

pytest: .venv/installed-dev
	$(BIN)/pytest --numprocesses 2 --dist loadfile

# A machine with AVX-512 and bfloat16 would hide what fails without them.
pytest-processors: .venv/installed-dev
	for capability in default avx2; do \
		ATEN_CPU_CAPABILITY=$$capability ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 OMP_NUM_THREADS=1 \
		$(BIN)/pytest -m numeric --numprocesses 2 --dist loadfile $$(grep -rl mark.numeric tests) || exit; \
	done

bench: .venv/installed-dev
	for script in collect index search memory web; do $(BIN)/python benchmarks/$$script.py || exit; done

docs: .venv/installed-dev
	$(BIN)/mkdocs serve

clean:
	rm -rf .venv demo-results web/node_modules
