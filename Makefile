# make demo: from a fresh clone to the ablation table; make test: all checks
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# a plain `torch` may pull several GB of CUDA libraries; this version has a CPU build on PyPI
TORCH  ?= torch==2.13.0

.PHONY: setup demo results lint test test-slow clean
.DEFAULT_GOAL := setup

setup: $(STAMP)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet '$(TORCH)'
	$(BIN)/python -m pip install --quiet '$(TORCH)' -e '.[dev]'
	touch $@

demo: setup
	$(BIN)/python train.py +experiment=ablation_audio

# put the newest tables into experiments/, paper/ and README.md
results:
	$(PYTHON) experiments/collect.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# one file stays in one process, because its tests share what was slow to make; one thread each
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

clean:
	rm -rf outputs multirun build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf .import_linter_cache src/musicrag.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
