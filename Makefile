# Every target is one line; longer work is a script.
.DEFAULT_GOAL := help
.PHONY: help setup run test fault check lint types layers cover ci lock notices model year bench clean \
	synth templates package account deploy costs
BIN := .venv/bin
SCENARIO ?= waste-bin
YEARS ?= 1
SITE ?= dwelling
STAGE ?= prod

help: ## Show this help
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 12

setup: .venv/ready ## Make the virtual environment from the locked dependencies

.venv/ready: requirements.lock pyproject.toml scripts/setup
	@scripts/setup

run: setup ## Run the detector on an emulated bus (SCENARIO=waste-bin), its page, a cloud in a box
	@exec scripts/run $(SCENARIO)

test: setup ## Run the tests
	@$(BIN)/pytest -q -n auto -m "not slow and not hardware and not cloud and not bench"

fault: setup ## Show what the detector does about every fault of docs/faults.md
	@$(BIN)/python -m pytest -q -m fault -n 2 --dist worksteal -p tests.faults

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

synth: setup ## Templates of all stages; those of prod are committed
	@$(BIN)/python -m deploy.synth && $(BIN)/python -m deploy.synth --stage dev -o var/synth/dev

templates: setup ## What the reviewers of templates say: current, cdk-nag, cfn-lint, checkov
	@$(BIN)/pytest -q -m slow tests/deploy/test_templates.py

package: setup ## The functions' package, its size and import times
	@$(BIN)/python -m deploy.package

account: setup ## What is set once per AWS account (STAGE=prod, OPTIONS=--dry-run)
	@$(BIN)/python -m deploy.account --stage $(STAGE) $(OPTIONS)

deploy: setup ## Bring the tier to AWS (STAGE=prod, OPTIONS=--diff; needs credentials and CODE_BUCKET)
	@$(BIN)/python -m deploy.deploy --stage $(STAGE) $(OPTIONS)

costs: setup ## What a detector costs in a month (OPTIONS="--devices 40")
	@$(BIN)/python -m deploy.costs $(OPTIONS)

lock: setup ## Resolve the dependencies again
	@scripts/lock

notices: setup ## Licences and bill of materials of what is installed beside it
	@$(BIN)/python scripts/notices

clean: ## Remove the virtual environment and every cache
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage var
