# `make help` lists the targets. Everything is installed in .venv; nothing outside this folder is touched.
# Two stamps: the base install (all that `unhiss denoise` needs) and the dev install (adds training,
# metrics and tests). `make demo` works with either, and a second run of any target installs nothing.

PYTHON ?= python3
VENV   := .venv
PIP    := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# The page that `unhiss serve` shows; also a folder that any web server can offer.
PAGE    := src/unhiss/serve/static/index.html
BENCHES := $(filter-out bench/machine.py,$(wildcard bench/*.py))

# One more than there are cores: many tests wait for a process or a server.
WORKERS := $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')

.PHONY: setup demo test soak lint fmt bench docs generated dist web help
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/dev.stamp  ## install everything for work on unhiss (training, metrics, tests) in .venv

demo: $(VENV)/base.stamp  ## denoise examples/noisy.wav with the base install
	@mkdir -p demo
	$(VENV)/bin/unhiss denoise examples/noisy.wav -o demo/clean.wav --plot demo/spectrogram.png --force

web: $(PAGE)  ## build the browser page (needs Node 18 or later)

test: $(VENV)/dev.stamp $(PAGE)  ## run the tests in parallel (minutes); UNHISS_DATA=FOLDER adds those on real corpora
	$(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not soak"

soak: $(VENV)/dev.stamp $(PAGE)  ## run the long proofs (half an hour); the result goes to bench/results/soak.txt
	$(VENV)/bin/python -m pytest -m soak -rap --durations=40 > bench/results/soak.part || { cat bench/results/soak.part; exit 1; }
	@mv bench/results/soak.part bench/results/soak.txt && cat bench/results/soak.txt

lint: $(VENV)/dev.stamp  ## check style and types
	$(VENV)/bin/ruff check src tests scripts bench
	$(VENV)/bin/ruff format --check src tests scripts bench
	$(VENV)/bin/mypy --strict
	$(VENV)/bin/mypy tests --exclude 'conftest\.py$$'
	@find tests -name conftest.py -print0 | xargs -0 -n 1 $(VENV)/bin/mypy  # one by one: all are named alike

fmt: $(VENV)/dev.stamp  ## bring the code into shape
	$(VENV)/bin/ruff check --fix src tests scripts bench
	$(VENV)/bin/ruff format src tests scripts bench

bench: $(VENV)/dev.stamp $(PAGE)  ## measure; prints tables, writes bench/results/*.json and docs/benchmarks.md (on an idle machine only)
	@failed=; for script in $(BENCHES); do echo "== $$script"; $(VENV)/bin/python $$script || failed="$$failed $$script"; done; \
	  $(VENV)/bin/python scripts/update_benchmarks.py; test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

docs: generated $(VENV)/docs.stamp  ## build the pages and the API reference into site/, after `make generated`
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

generated: $(VENV)/dev.stamp  ## write the generated parts of README.md and docs/ again
	$(VENV)/bin/python scripts/update_readme.py
	$(VENV)/bin/python scripts/update_cards.py
	$(VENV)/bin/python scripts/update_benchmarks.py

dist: $(VENV)/dev.stamp $(PAGE)  ## build the sdist and the wheel into dist/, with the models and the page inside
	rm -rf dist
	$(VENV)/bin/python -m hatchling build

web/node_modules/stamp: web/package-lock.json web/package.json
	@command -v npm >/dev/null || { echo "npm is missing, which builds the page: apt-get install nodejs npm"; exit 1; }
	cd web && npm ci --no-progress
	@touch $@

$(PAGE): web/node_modules/stamp web/index.html web/vite.config.ts web/tsconfig.json $(shell find web/src -type f) \
  src/unhiss/pretrained/small.onnx src/unhiss/pretrained/small.json
	cd web && npm run --silent build

$(VENV)/venv.stamp:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v < (3, 14) or sys.exit( \
	  "unhiss needs Python 3.11 to 3.13, this is %d.%d; try: make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/base.stamp: $(VENV)/venv.stamp pyproject.toml constraints.txt
	$(PIP) -e .
	@touch $@

# torch first and by its pin: asked for by a range, pip may pick a newer build with gigabytes of CUDA.
$(VENV)/dev.stamp: $(VENV)/venv.stamp pyproject.toml constraints.txt
	@echo "installing what development needs (torch among it): some minutes the first time"
	$(PIP) torch
	$(PIP) -e '.[dev]'
	@touch $(VENV)/base.stamp $@

$(VENV)/docs.stamp: $(VENV)/dev.stamp
	$(PIP) -e '.[docs]'
	@touch $@
