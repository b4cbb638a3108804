# Everything starts here; `make help` lists what there is.

VENV := .venv
BIN := $(VENV)/bin
# The first Python that is new enough and can make a virtual environment. Asked for outside of this folder, since
# pyenv offers none at all where it has not got the one that .python-version names for deployment.
PYTHON ?= $(shell cd / && for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, ensurepip; sys.version_info < (3, 11) and sys.exit(1); print(sys.executable)' 2>/dev/null && break; done)

.DEFAULT_GOAL := help
.PHONY: help install demo run test check lock release bench soak chaos mutations image-test helm chart-test

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.installed-dev ## Set everything up in .venv (a second run is a quick no-op)

SETUP := setup.cfg setup.py pyproject.toml requirements.txt
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with its venv module is needed; set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# With the versions that requirements.txt deploys; its last line, the project itself, can't be a constraint.
# What is never imported needs no compiling: that saves half of the time.
define install
	@sed '/^\.$$/d' requirements.txt > $(VENV)/constraints.txt
	$(PIP) --no-compile --constraint $(VENV)/constraints.txt --editable '.[$(1)]'
endef

# What `make demo` and `make run` need: no browser, no type checker.
$(VENV)/.installed: $(SETUP) | $(BIN)/python
	$(call install,local)
	@touch $@

$(VENV)/.installed-dev: $(SETUP) | $(BIN)/python
	$(call install,dev)
	@touch $(VENV)/.installed $@

demo: $(VENV)/.installed ## The main job, whole, with no account and no server: two incidents, two outcomes
	@$(BIN)/python -m local.demo

run: $(VENV)/.installed ## Web and worker with your own .env and config/config.yaml (+ an embedded Redis if none is set)
	@$(BIN)/python -m local.run

test: install ## Every test
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

check: install ## Linters, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lock: $(BIN)/python ## Write requirements.txt anew after a change to setup.cfg (ARGS=--upgrade: with newer versions)
	$(PIP) --editable '.[lock]'
	@$(BIN)/python -m local.lock $(ARGS)

release: install ## Check, and make the wheel, the source archive and the changes of this version, in dist/
	@$(BIN)/python -m local.release

bench: install ## Measure, in under ten minutes: rates, lateness, memory, growth (prints one table)
	$(BIN)/python -m benchmarks

soak: install ## What grows while nothing fails, MINUTES=60: memory, files, threads of every process
	@$(BIN)/python -m benchmarks.soak $(if $(filter command line environment,$(origin MINUTES)),--minutes $(MINUTES))

MINUTES ?= 2
chaos: install ## Break everything for MINUTES=2, as SEED=... says, and check every promise (CONTRIBUTING.md)
	@$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(if $(RECORD),--record $(RECORD))

mutations: install ## Break the code in one place after the other; tests must notice each (with ARGS=--chaos chaos, too)
	@$(BIN)/python -m tests.mutations $(ARGS)

image-test: install ## Build the container image without a registry and page from it (root, buildah, debootstrap; 2 minutes)
	VERSUS_TEST_IMAGE=1 $(BIN)/python -m pytest tests/image -rs

HELM := build/bin/helm
$(HELM):
	@command -v go >/dev/null || { echo "Go 1.24 or newer is needed to build helm: https://go.dev/dl"; exit 1; }
	GOBIN=$(CURDIR)/build/bin go install -ldflags=-s helm.sh/helm/v3/cmd/helm@v3.18.6

helm: $(HELM)

chart-test: install $(HELM) ## The Helm chart and what else is under deploy/ (the first time helm is built: 2 minutes)
	$(BIN)/python -m pytest tests/deploy -rs
