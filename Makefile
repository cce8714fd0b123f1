# A fresh clone needs nothing but a Python with venv: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint style science reproduce bench gpu clean

# The main job at a size that a laptop does while one watches.
demo: $(VENV)/.installed
	$(BIN)/lensdask demo demo

# What every change must pass, on two cores.
# Types are checked while the tests run: on one core they would keep the other waiting. Each of two processes has one
# thread: more of them would wait for each other.
test: style
	$(BIN)/mypy & types=$$!; OMP_NUM_THREADS=1 $(BIN)/pytest -n 2; tests=$$?; wait $$types && exit $$tests

lint: style
	$(BIN)/mypy

style: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Slow: the accuracy that the package promises, with the numbers in docs/science.txt, and every experiment at size small.
science: $(VENV)/.installed-dev
	$(BIN)/python docs/science.py
	$(BIN)/python docs/reproduce.py

# Slow: the figures and tables of the papers at size small, into lensdask/reproduce/results and docs/reproduce.
reproduce: $(VENV)/.installed
	$(BIN)/python docs/reproduce.py $(ID)

# Slow: speed and memory, with the numbers, into docs/bench: also where a ratio misses its target.
bench: $(VENV)/.installed-dev
	rm -rf build/bench
	OMP_NUM_THREADS=1 $(BIN)/pytest -m benchmark -s; missed=$$?; $(BIN)/python docs/bench.py; exit $$missed

# Eight minutes on a machine with a GPU: its tests, timings into docs/bench/*.cuda.json, runs. It installs nothing and
# runs with the Python it is given, which needs what pyproject.toml asks for; parts whose modules are missing are skipped.
gpu:
	PYTHONPATH=.$${PYTHONPATH:+:$$PYTHONPATH} $(PYTHON) docs/gpu.py

# Back to a fresh clone.
clean:
	rm -rf $(VENV) demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks
	find lensdask tests -name __pycache__ -prune -exec rm -rf {} +

# pip is the last thing that venv installs, so its presence means a complete environment.
$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

# The stamps are younger than pyproject.toml once all it asks for is installed.
$(VENV)/.installed: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install -e '.[dev,oracles]'
	touch $@ $(VENV)/.installed
