# What people run. Every target sets the environment up first; that costs nothing once it stands.
.PHONY: demo test test-fast lint lock clean help

PYTHON := .venv/bin/python

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: bootstrap ## the whole story: render scenes, run the pipeline, serve, colour, show
	.venv/bin/tintype demo

test: bootstrap lint ## lint, types and every test
	$(PYTHON) -m pytest -n auto --maxprocesses 4 --dist loadfile

test-fast: bootstrap ## the unit tests alone
	$(PYTHON) -m pytest -m "not slow"

lint: bootstrap ## ruff and mypy
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

lock: bootstrap ## mend the lock file after a change of setup.py (LOCK_FLAGS=--upgrade: newest versions)
	.venv/bin/uv pip compile setup.py --all-extras --python-version 3.11 --python-platform x86_64-manylinux_2_39 \
	  --generate-hashes $(LOCK_FLAGS) -q --custom-compile-command "make lock" -o requirements/all.lock

clean: ## remove what builds and runs left here, the environment too
	rm -rf build dist *.egg-info .venv .bootstrap.lock

.PHONY: bootstrap
bootstrap:
	@scripts/bootstrap.sh
