# Everything a person types here. `make` alone prints the list.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --warn-undefined-variables --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# One after the other, whatever -j says, but for the checks, of which each keeps one core busy.
ifndef AT_ONCE
.NOTPARALLEL:
endif

# Whatever the environment says, what is imported is compiled once: the tests alone start some hundreds of programs.
unexport PYTHONDONTWRITEBYTECODE

# Any Python from 3.11 on makes the virtual environment; PYTHON=... chooses one.
PYTHON ?= python3
BIN := .venv/bin
# What ruff and mypy look at: every package that exists (generated code is left out by their settings).
CODE := $(wildcard kit edge services cli scripts deploy bench tests requirements)
# Packages for Node.js start it by its name; it is a locked wheel in .venv.
NODE := PATH="$(CURDIR)/$(BIN):$$PATH"
# The OpenAI SDK for Node.js, which tests/e2e runs against us.
NODE_SDK := tests/e2e/node/node_modules/.package-lock.json
# The Chromium that tests/browser drives, and axe, which looks there for what keeps people out.
CHROMIUM_PACKAGE := tests/browser/node/node_modules/.package-lock.json
# What the tests find ready; it is made while mypy, which takes longest, keeps one core busy.
FOR_TESTS := $(NODE_SDK) $(CHROMIUM_PACKAGE) dashboard
CHECKS := types dashboard-check format lint imports proto-check
SIDE_BY_SIDE = $(MAKE) --jobs=2 --output-sync=target AT_ONCE=yes
# More arguments for pytest: make test PYTEST_FLAGS="-k ledger -x"
PYTEST_FLAGS ?=

##@ Run

.PHONY: up
up: dashboard ## Start everything on this machine: EDGE_PORT=8000 DASHBOARD_PORT=3000 PRIVATEROUTER_HOME=.local
	@exec $(BIN)/privaterouter up

.PHONY: dashboard
dashboard: .venv/.ready-embedded ## Build the dashboard where it is missing or stale
	@$(BIN)/python -m deploy.dashboard

.PHONY: reset
reset: .venv/.ready-embedded ## Delete the data of the embedded stack, after asking
	@exec $(BIN)/python -m deploy.local.reset

##@ Check

.PHONY: test
test: .venv/.ready-dev ## Run every check and every test
	@$(SIDE_BY_SIDE) $(CHECKS) $(FOR_TESTS)
	@$(MAKE) pytest

.PHONY: check
check: .venv/.ready-dev ## Run every check but the tests
	@$(SIDE_BY_SIDE) $(CHECKS)

.PHONY: pytest
pytest: .venv/.ready-dev $(FOR_TESTS) ## Run the tests: PYTEST_FLAGS="-k name -x"
	@echo "==> tests"
	$(BIN)/python -m pytest -n auto $(PYTEST_FLAGS)

.PHONY: audit
audit: .venv/.ready-dev ## Have checkov look at the manifests and the image; no part of the tests, since it is large
	@$(BIN)/python -m tests.deploy.audit

.PHONY: faults
faults: .venv/.ready-dev ## Kill, cut, delay and repeat everything that money goes through, in ten minutes: FAULTS_SEED=7
	@FAULTS_SIZE=medium $(BIN)/python -m pytest tests/faults $(PYTEST_FLAGS)

.PHONY: faults-full
faults-full: .venv/.ready-dev ## The same with a thousand kills, and cuts at every byte; takes about 45 minutes
	@FAULTS_SIZE=full $(BIN)/python -m pytest tests/faults $(PYTEST_FLAGS)

.PHONY: format
format: .venv/.ready-dev
	@echo "==> format (ruff; make fmt repairs it)"
	$(BIN)/ruff format --check --quiet $(CODE)

.PHONY: lint
lint: .venv/.ready-dev
	@echo "==> lint (ruff)"
	$(BIN)/ruff check --quiet $(CODE)

.PHONY: types
types: .venv/.ready-dev
	@echo "==> types (mypy)"
	$(BIN)/mypy $(CODE)

.PHONY: imports
imports: .venv/.ready-dev
	@echo "==> imports between the parts (import-linter)"
	$(BIN)/lint-imports --no-logo

.PHONY: proto-check
proto-check: .venv/.ready-dev
	@echo "==> contracts (buf, and generated code is what make proto generates)"
	$(BIN)/buf lint
	@if [ -f proto/baseline.binpb ]; then $(BIN)/buf breaking --against proto/baseline.binpb; fi
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	sh proto/generate.sh "$$fresh"; \
	diff -r --brief -x __pycache__ "$$fresh" gen || { echo "gen/ is stale: run make proto" >&2; exit 1; }
	@if git rev-parse --git-dir >/dev/null 2>&1; then \
		untracked=$$(git ls-files --others --exclude-standard -- proto gen); \
		if [ -n "$$untracked" ]; then printf 'not under version control:\n%s\n' "$$untracked" >&2; exit 1; fi; fi

.PHONY: dashboard-check
dashboard-check: .venv/.ready-dev
	@echo "==> dashboard (types of the API, format, lint, types, tests)"
	@$(BIN)/python -m deploy.dashboard packages
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	sh dashboard/generate-types.sh "$$fresh/schema.ts"; \
	diff "$$fresh/schema.ts" dashboard/src/api/schema.ts >/dev/null || \
		{ echo "dashboard/src/api/schema.ts is stale: run make dashboard-types" >&2; exit 1; }
	@$(NODE) npm --prefix dashboard --silent run check
	@$(NODE) npm --prefix dashboard --silent test

##@ Measure

.PHONY: bench
bench: .venv/.ready-dev ## This gateway and others side by side on one core each, in some five minutes
	@exec $(BIN)/python -m bench.peers

.PHONY: bench-full
bench-full: .venv/.ready-dev ## The same with everything against everybody, longer and more often; takes about half an hour
	@exec $(BIN)/python -m bench.peers --full

.PHONY: bench-compare
bench-compare: .venv/.ready-dev ## What changed between two runs: A=.local/bench/results/ONE.json B=.local/bench/results/OTHER.json
	@exec $(BIN)/python -m bench.peers.compare $(A) $(B)
A ?=
B ?=

.PHONY: bench-report
bench-report: .venv/.ready-dev ## Write a run into docs/performance.md: RUN=.local/bench/results/ONE.json
	@exec $(BIN)/python -m bench.peers.report $(RUN)
RUN ?=

.PHONY: bench-lag
bench-lag: .venv/.ready-dev ## How long after a request its usage row and its debit can be seen
	@exec $(BIN)/python -m bench.lag

.PHONY: bench-upstream
bench-upstream: .venv/.ready-dev ## What a request and a chunk cost with our own pool of upstream connections and with aiohttp
	@exec $(BIN)/python -m bench.upstream_clients

.PHONY: bench-reads
bench-reads: .venv/.ready-dev ## How fast lists and sums answer with a million calls of one user, and 100,000 users
	@exec $(BIN)/python -m bench.reads

.PHONY: bench-size
bench-size: .venv/.ready-dev ## Whether a request costs more beside a million keys, ten million calls and 1,000 models
	@exec $(BIN)/python -m bench.size

.PHONY: bench-scale
bench-scale: .venv/.ready-dev ## What each part has to do at a rate of requests, simulated: SCALE_FULL=1 SCALE_SEED=7
	@exec $(BIN)/python -m bench.scale

.PHONY: bench-costs
bench-costs: .venv/.ready-dev ## Measure anew what transactions and rows cost, which bench-scale counts with
	@exec $(BIN)/python -m bench.scale.measure

.PHONY: bench-guard
bench-guard: .venv/.ready-dev ## Whether a request costs more CPU than the figure kept of it: GUARD_KEEP=1 keeps a new one
	@exec $(BIN)/python -m bench.guard

.PHONY: bench-sizing
bench-sizing: .venv/.ready-dev ## What each process takes in memory and CPU, idle and at work
	@exec $(BIN)/python -m bench.sizing

.PHONY: bench-start
bench-start: .venv/.ready-dev ## How long each process takes until it is ready, and what the first request costs then
	@exec $(BIN)/python -m bench.start

.PHONY: bench-drain
bench-drain: .venv/.ready-dev ## How many waiting usage records a second become charges: DRAIN_RECORDS=100000
	@exec $(BIN)/python -m bench.drain

##@ Change

.PHONY: fmt
fmt: .venv/.ready-dev ## Format the code and apply the safe repairs of the linter
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix-only $(CODE)
	$(BIN)/ruff format --quiet $(CODE)

.PHONY: proto
proto: .venv/.ready-dev ## Generate gen/ from proto/
	@fresh=$$(mktemp -d -p .); trap 'rm -rf "$$fresh"' EXIT; \
	sh proto/generate.sh "$$PWD/$$fresh"; \
	rm -rf gen/privaterouter; mkdir -p gen; mv "$$fresh/privaterouter" gen/; \
	echo "gen/privaterouter: $$(find gen -type f | wc -l) files"

.PHONY: proto-baseline
proto-baseline: .venv/.ready-dev ## Make the present contract the one that later changes must not break
	$(BIN)/buf build --exclude-source-info --output proto/baseline.binpb

.PHONY: dashboard-types
dashboard-types: .venv/.ready-dev ## Generate the dashboard's types of the API from edge/
	@$(BIN)/python -m deploy.dashboard packages
	@sh dashboard/generate-types.sh dashboard/src/api/schema.ts

.PHONY: alerts
alerts: .venv/.ready-dev ## Generate the manifest of the alert rules for Kubernetes
	$(BIN)/python -m deploy.k8s.make_rules

.PHONY: screenshots
screenshots: .venv/.ready-dev $(CHROMIUM_PACKAGE) dashboard ## Take the pictures in docs/images anew
	$(BIN)/python -m tests.browser.screenshots

.PHONY: lock
lock: .venv/.ready-dev ## Write the locks anew after a change of dependencies: LOCK_FLAGS=--upgrade
	sh requirements/lock.sh $(LOCK_FLAGS)
LOCK_FLAGS ?=

##@ Set-up

.PHONY: setup
setup: .venv/.ready-dev ## Make .venv with everything that development needs (the other commands do it by themselves)
	@:

# The stamps are compared by time here, and by content inside the script. A clone that was moved starts over.
ifneq ($(shell cat .venv/.made-in 2>/dev/null),$(CURDIR))
MOVED := FORCE
else
MOVED :=
endif
.PHONY: FORCE
FORCE:
.venv/.ready-%: $(MOVED) requirements/install.py requirements/tools.txt requirements/runtime.txt requirements/embedded.txt requirements/dev.txt pyproject.toml
	@for python in "$(PYTHON)" python3 python3.14 python3.13 python3.12 python3.11; do \
		if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then \
			exec "$$python" requirements/install.py $*; fi; done; \
	echo "PrivateRouter needs Python 3.11 to 3.14, and none was found. Install one, or name it: make PYTHON=/path/to/python3.11" >&2; \
	exit 1

$(NODE_SDK): tests/e2e/node/package-lock.json | .venv/.ready-dev
	@echo "==> the OpenAI SDK for Node.js"
	@$(NODE) npm ci --prefix tests/e2e/node --ignore-scripts --no-audit --no-fund --silent
	@touch $@

$(CHROMIUM_PACKAGE): tests/browser/node/package-lock.json | .venv/.ready-dev
	@echo "==> Chromium, from npm (a download of 70 MB where none is cached)"
	@$(NODE) npm ci --prefix tests/browser/node --ignore-scripts --no-audit --no-fund --silent
	@touch $@

.PHONY: help
help:
	@awk 'BEGIN { FS = ":.*## "; print "make <target> [NAME=value ...]" } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
