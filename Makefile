# The vocabulary: up, test, check, format, bench, chaos, docs, clean. Installing is part of each and takes no time when nothing changed.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
ARGS ?=

.PHONY: up test check format bench chaos docs clean install system

up: install ## start everything on this machine; ARGS="--workers 2" for more
	@$(BIN)/penstock up $(ARGS)

test: install system ## all tests; ARGS="tests/unit -x" for some
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(or $(ARGS),--ignore tests/story)
	$(if $(ARGS),,$(BIN)/pytest tests/story)

check: install ## lint, format, types, import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo

format: install ## write the code as `make check` wants to read it
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: install ## one benchmark: make bench ARGS="overhead --rounds 5"; docs/benchmarks.md tells of all
	@$(BIN)/penstock bench $(ARGS)

chaos: install ## break everything for one hour; ARGS="--scale 0.02 --events 0" for three minutes
	@$(BIN)/python -m tests.chaos $(ARGS)

docs: install ## write the generated pages of docs/ anew
	$(BIN)/python docs/generate.py

clean: ## forget the environment, caches and builds; the data of .penstock stays
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

install:
	@$(PYTHON) requirements/install.py

system:
	@requirements/system.sh
