# Two commands for who arrives: `make demo` shows the main job running, `make test` proves it.
# Each target brings what it needs by itself. Paths are relative, so a checkout may have spaces.

UV_VERSION := 0.13.9
BIN := .venv/bin
# The tests wait for real processes more than they compute, so two run on any machine.
TEST_PROCESSES := 2

.PHONY: help setup demo stop test check docs soak bench clean tools-for-tests

help:
	@printf '%s\n' \
	  'make demo    set up, start a local instance, publish two branches into two slots' \
	  'make stop    end the local instance' \
	  'make test    set up and run every test' \
	  'make check   style, types, layers and the documentation' \
	  'make docs    build the documentation into site/' \
	  'make soak    the long tests' \
	  'make bench   the benchmarks' \
	  'make clean   end the instance and remove everything that was made'

setup:
	@UV_VERSION=$(UV_VERSION) scripts/setup.sh

demo: setup
	@$(BIN)/python examples/demo.py

stop:
	@if [ -x $(BIN)/ouroboros ]; then $(BIN)/ouroboros down; fi

check: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/ouroboros render --check > /dev/null || $(BIN)/ouroboros render --check
	@$(MAKE) --no-print-directory docs

# Strict: a link that leads nowhere, or a page that nobody can find, fails it (mkdocs.yml). With
# --quiet it would count no warnings.
docs: setup
	@told=$$(NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build 2>&1) || { printf '%s\n' "$$told"; exit 1; }

test: check tools-for-tests
	@$(BIN)/pytest -n $(TEST_PROCESSES) --dist loadgroup --no-loadscope-reorder

soak: setup tools-for-tests
	@$(BIN)/pytest -m soak --timeout 7200

tools-for-tests: setup
	@scripts/tools-for-tests.sh

bench: setup tools-for-tests
	@for file in bench/*.py; do echo "== $$file"; $(BIN)/python "$$file" || exit 1; done

clean: stop
	@rm -rf .venv .ouroboros site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
