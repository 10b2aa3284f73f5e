# Every target is one line; longer work is a script.
.DEFAULT_GOAL := help
.PHONY: help setup run test check lint types layers cover ci lock model year bench clean
BIN := .venv/bin
SCENARIO ?= waste-bin
YEARS ?= 1
SITE ?= dwelling

help: ## Show this help
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 12

setup: .venv/ready ## Make the virtual environment from the locked dependencies

.venv/ready: requirements.lock pyproject.toml scripts/setup
	@scripts/setup

run: setup ## Run the detector on an emulated bus (SCENARIO=waste-bin), its page, a cloud in a box
	@exec scripts/run $(SCENARIO)

test: setup ## Run the tests
	@$(BIN)/pytest -q -n auto -m "not slow and not hardware and not cloud and not bench"

check: lint types layers test ## What must hold before every commit

lint: setup ## Lint and formatting
	@$(BIN)/ruff check && $(BIN)/ruff format --check

types: setup ## Static types
	@$(BIN)/mypy

layers: setup ## Who may import whom
	@$(BIN)/lint-imports

cover: setup ## Branch coverage of the deciding code, kernels as plain Python
	@scripts/cover

ci: ## Everything that the continuous integration runs
	@bash .ci/run

model: setup ## Rooms, data set, default bundle, its evaluation: everything from nothing
	@scripts/model

year: setup ## Live through device-years of nuisances (YEARS=1, SITE=dwelling); goes on where it stopped
	@$(BIN)/firedetect simulate year -o var/year --years $(YEARS) --site $(SITE)

bench: setup ## Speed side by side with named peers, as ratios
	@$(BIN)/firedetect bench -o docs/performance.md

lock: setup ## Resolve the dependencies again
	@scripts/lock

clean: ## Remove the virtual environment and every cache
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage var
