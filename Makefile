# `make help` lists the commands. CI (.ci/run) calls `make check`, `make test` and `make test-all`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
# For CPU-only machines: make setup PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PIP_FLAGS ?=
# As many tests at a time as there are cores, four at most, since each worker has a broker and a torch of its own.
# WORKERS=0 runs one after the other, as a debugger needs it. `worksteal` leaves the tests of a file to one worker as
# long as both have work: they share fixtures.
WORKERS ?= logical
# Property tests try the same examples at each run, so that who changed nothing sees no new failure. Another SEED tries
# others.
SEED ?= 1
PYTEST := $(BIN)/python -m pytest --hypothesis-seed=$(SEED)
PARALLEL := --numprocesses=$(WORKERS) --maxprocesses=4 --dist=worksteal
# Where `make bench` and `make chaos` find ECG5000, or put it
DATA ?= demo/ecg5000

.PHONY: help setup demo test test-all check bench chaos up clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: $(BIN)/.installed ## make .venv and install the project, pinned; without a GPU see PIP_FLAGS in the README

$(BIN)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make setup PYTHON=/path/to/python3.11")'
	@echo 'installing 1.8 GB into $(VENV): some minutes'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) -c constraints.txt -e '.[trainer,embedded,recordings,dev]'
	@touch $@

demo: setup ## train, publish 20,000 beats to an embedded broker, watch them, sum up
	$(BIN)/ecg-monitor demo

test: setup ## the tests of a few minutes, on the best broker that this machine has
	$(PYTEST) $(PARALLEL) -m "not slow" --hypothesis-profile=quick

test-all: setup ## all tests: the slow ones too (chaos, live alert rules, budgets, the demo); those that measure time run alone
	$(PYTEST) $(PARALLEL) -m "not alone"
	$(PYTEST) -m alone

check: setup ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup .venv-bench/.installed ## this monitor beside its peers, on Apache Kafka (KAFKA_HOME); ARGS=latency, ARGS=scale, ARGS=--help
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) -c constraints.txt -e '.[trainer,bench]'
	$(BIN)/ecg-trainer fetch --out $(DATA)
	$(BIN)/ecg-trainer ecg --data $(DATA) --out demo/bench.safetensors
	$(BIN)/python -m bench --model demo/bench.safetensors --data $(DATA) $(or $(ARGS),throughput)

# Peers that exclude our pinned versions: a place of their own, which finds the rest (torch, numpy) in ours
.venv-bench/.installed: bench/apart.txt $(BIN)/.installed
	$(PYTHON) -m venv .venv-bench
	-.venv-bench/bin/python -m pip install --quiet -r bench/apart.txt
	echo "import site; site.addsitedir('$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')')" \
		> $$(.venv-bench/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/beside.pth
	@touch $@

chaos: setup ## monitors and Kafka (KAFKA_HOME) killed at random, alerts compared; ARGS="--scenario kills", ARGS=--help
	$(BIN)/ecg-trainer fetch --out $(DATA)
	$(BIN)/ecg-trainer ecg --data $(DATA) --out demo/chaos.safetensors
	$(BIN)/python -m tests.chaos --model demo/chaos.safetensors --data $(DATA) $(ARGS)

up: ## the whole stack with Docker, demo beats included
	docker compose --profile demo up --build

clean: ## remove what the commands above made
	rm -rf $(VENV) .venv-bench build dist demo *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
