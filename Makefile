# `make` lists the targets. Each creates what it needs; you need only Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := $(shell sed -E 's/(\[|=).*//' benchmarks/peers.txt)
PEER_VENVS := .venv-bench
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.demo ## run a real small model on the examples: documents in, Parquet out
	$(BIN)/prefect-llm demo

test: $(VENV)/.dev ## run the tests in two processes, one file at a time in each
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

check: $(VENV)/.dev ## check lint, types, import rules, packaging and docs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/check.py
	$(MAKE) docs

docs: $(VENV)/.dev ## build the docs site into site/; a broken link or reference fails the build
	$(BIN)/zensical build --strict --clean
	rm site/*.py

bench: $(VENV)/.dev $(PEERS:%=$(PEER_VENVS)/%/.ready) ## run all benchmarks and write benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run_all.py

readers: $(VENV)/.dev $(PEER_VENVS)/readers/.ready ## try which programs read results, by type of a kept column
	$(BIN)/python benchmarks/readers.py

servers: $(VENV)/.dev $(PEER_VENVS)/servers/.ready ## see how runs end against a LiteLLM proxy, nginx, haproxy and llama.cpp
	$(BIN)/python benchmarks/servers.py

containers: $(VENV)/.dev $(PEER_VENVS)/containers/.ready ## build and run the image and the stack with podman, and stop workers under load
	$(BIN)/python benchmarks/containers.py

clean: ## remove the environment, caches and demo runs
	rm -rf $(VENV) $(PEER_VENVS) .cache build dist runs site src/*.egg-info .mypy_cache .ruff_cache .pytest_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("prefect-llm needs Python 3.11 or later: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[local]'
	$(BIN)/python -m prefect_llm.local.weights
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

# A peer that fails to install becomes a row without figures; the other peers are still measured.
$(PEER_VENVS)/%/.ready: benchmarks/peers.txt
	$(PYTHON) -m venv $(PEER_VENVS)/$*
	-$(PEER_VENVS)/$*/bin/python -m pip install --quiet uvloop orjson "$$(grep -E '^$*(\[|=)' benchmarks/peers.txt)"
	@touch $@

$(PEER_VENVS)/readers/.ready: benchmarks/readers.txt
	$(PYTHON) -m venv $(PEER_VENVS)/readers
	$(PEER_VENVS)/readers/bin/python -m pip install --quiet --requirement benchmarks/readers.txt
	@touch $@

$(PEER_VENVS)/servers/.ready: benchmarks/servers.txt
	$(PYTHON) -m venv $(PEER_VENVS)/servers
	$(PEER_VENVS)/servers/bin/python -m pip install --quiet --requirement benchmarks/servers.txt
	@touch $@

$(PEER_VENVS)/containers/.ready: benchmarks/containers.txt
	$(PYTHON) -m venv $(PEER_VENVS)/containers
	$(PEER_VENVS)/containers/bin/python -m pip install --quiet --requirement benchmarks/containers.txt
	@touch $@

.PHONY: help demo test check docs bench readers servers containers clean
