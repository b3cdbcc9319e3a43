# What a person types. `make run` and `make test` are all one needs; the rest is for working on the project.
#
# Everything goes into .venv; nothing but the Debian packages of `make test` touches the system.
# PYTHON=…  the interpreter to use      ARGS=…  more for the program: make test ARGS="-k daly -x"

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/sh

# Test processes: more than processors, because many tests wait for a clock, a broker or a browser.
JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n + n / 2)))
ARGS ?=
export PYTHON

bin := .venv/bin
python_code := bridge web provisioning tests $(wildcard benchmarks/*.py firmware_images/*.py packaging/*.py)
# Programs of .venv first: where the machine has no Node.js, it stands there too.
with_venv := PATH="$(CURDIR)/$(bin):$$PATH"

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

# -- run ------------------------------------------------------------------------------------------------------------

.PHONY: run
run: ## install into .venv and start the bridge on bridge.toml, data in .smartbms/
	@packaging/install.sh run
	@exec $(bin)/smartbms run --config bridge.toml --data .smartbms $(ARGS)

.PHONY: installed
installed:
	@packaging/install.sh dev

# -- test -----------------------------------------------------------------------------------------------------------

.PHONY: test
test: test-needs ## run the suite; as root, install the Debian packages it needs
	@$(with_venv) $(bin)/python -m pytest --numprocesses $(JOBS) --dist worksteal $(ARGS)

.PHONY: nightly
nightly: test-needs ## the long tests, and the property tests with many more examples
	@$(with_venv) $(bin)/python -m pytest -m "nightly or property" --hypothesis-profile nightly --timeout 3600 $(ARGS)

.PHONY: test-needs
test-needs: installed
	@packaging/debian_packages.sh
	@$(with_venv) packaging/npm_packages.sh tests/browser

.PHONY: bench
bench: installed ## measure speed and size, print the table
	@$(with_venv) $(bin)/python -m benchmarks $(ARGS)

# -- check ----------------------------------------------------------------------------------------------------------

.PHONY: check
check: lint types imports page-types ## lint, types, import contracts, types of the pages

.PHONY: lint
lint: installed ## ruff
	@$(bin)/ruff check .

.PHONY: types
types: installed ## mypy --strict
	@$(bin)/mypy $(python_code)

.PHONY: imports
imports: installed ## who may import whom
	@$(bin)/lint-imports --no-logo

.PHONY: page-types
page-types: installed ## TypeScript
	@$(with_venv) packaging/npm_packages.sh web/ui
	@cd web/ui && $(with_venv) npm run --silent check

# -- package --------------------------------------------------------------------------------------------------------

.PHONY: package
package: installed ## build the source distribution and the wheel into dist/
	@rm -rf dist
	@$(bin)/python -m build

.PHONY: smoke
smoke: package ## install the wheel into a clean environment, start it, ask it, kill it, start it again
	@$(bin)/python packaging/smoke.py dist

.PHONY: constraints
constraints: ## pin the newest versions that fit pyproject.toml into constraints.txt
	@packaging/make_constraints.sh

.PHONY: clean
clean: ## remove what was built and installed; your data in .smartbms/ stays
	rm -rf .venv dist build web/static web/ui/node_modules tests/browser/node_modules test-output
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
