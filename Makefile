# Every target prepares what it needs; `make help` says what each is for.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The steps share servers' ports, caches and .local/: one after another, whatever MAKEFLAGS say.
.NOTPARALLEL:

CORE := 2.19
NEWEST_CORE := 2.21
# Where the demo keeps its repository: file, or s3 for a bucket of an S3 gateway on loopback.
REPOSITORY := file
# Looked up in the recipes, so that `make help` and `make clean` prepare nothing.
in_core = bin=$$(tools/environment $(1)); export PATH="$$bin:$$PATH" ANSIBLE_COLLECTIONS_PATH="$(CURDIR)/.local/collections"
PYTEST := python -m pytest -q -p no:cacheprovider
# Tests on real servers wait more than they compute; the tests of a file share its servers. The slice is mostly one file.
WORKERS ?= 3
AT_ONCE = --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder
SPREAD = --numprocesses=$(WORKERS) --dist=worksteal

.PHONY: help setup demo demo-down test system-packages lint sanity checks unit integration molecule robustness bench soak docs clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

setup: system-packages ## prepare system packages and the Python environments
	@tools/environment $(CORE); tools/environment $(NEWEST_CORE)

system-packages: ## install missing system packages (root on Debian), or name them
	@tools/system-packages

demo: ## back up, prove, destroy and rebuild a real PostgreSQL environment in about five minutes (REPOSITORY=s3: in a bucket)
	@$(call in_core,$(CORE)); python tools/demo up $(REPOSITORY)

demo-down: ## stop the demo and remove what it made
	@python3 tools/demo down

test: system-packages lint checks unit integration molecule robustness ## every check and test, as continuous integration runs them
	@echo "make test: everything passed"

lint: ## formatting, types, YAML, Ansible, documentation, Python 3.9, ansible-test's sanity tests
	@tools/lint

sanity: ## ansible-test's sanity tests on a copy of the tree
	@tools/sanity

checks: ## tests about the tree itself: documentation, arguments, the built collection
	@$(call in_core,$(CORE)); $(PYTEST) tests/checks

unit: ## unit tests on the oldest and on the newest supported ansible-core
	@$(call in_core,$(CORE)); $(PYTEST) $(AT_ONCE) tests/unit
	@$(call in_core,$(NEWEST_CORE)); $(PYTEST) $(AT_ONCE) tests/unit

integration: system-packages ## integration tests on real servers; a slice of them on the newest ansible-core
	@$(call in_core,$(CORE)); $(PYTEST) $(AT_ONCE) --durations=10 tests/integration
	@$(call in_core,$(NEWEST_CORE)); $(PYTEST) $(SPREAD) -m slice tests/integration

molecule: system-packages ## every molecule scenario (make molecule SCENARIO=backup for one)
	@$(call in_core,$(CORE)); python tools/molecule_scenarios $(SCENARIO)

robustness: system-packages ## a seeded sample of kills, faults and corruptions
	@$(call in_core,$(CORE)); $(PYTEST) $(AT_ONCE) --durations=10 tests/robustness

bench: system-packages ## measure throughput and times against the plain tools; writes build/bench.json
	@$(call in_core,$(CORE)); mkdir -p build; python benchmarks/run.py

soak: system-packages ## every kill boundary and thousands of corruptions; writes build/soak.json
	@$(call in_core,$(CORE)); mkdir -p build; python tests/robustness/soak.py

docs: ## build the documentation as HTML below build/docs
	@tools/docs

clean: demo-down ## remove what was built below the tree; caches outside of it stay
	@rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis .ansible .nox *.tar.gz
	@find . -name __pycache__ -type d -not -path './.local/*' -prune -exec rm -rf {} +
