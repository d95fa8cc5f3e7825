# What people run. Every target sets the environment up first; that costs nothing once it stands.
.PHONY: demo test test-fast test-pythons docs lint lock clean help

PYTHON := .venv/bin/python

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: bootstrap ## the whole story: render scenes, run the pipeline, serve, colour, show
	.venv/bin/tintype demo

test: bootstrap lint ## lint, types and every test
	$(PYTHON) -m pytest -n auto --maxprocesses 4 --dist loadfile

test-fast: bootstrap ## the unit tests alone
	$(PYTHON) -m pytest -m "not slow"

test-pythons: bootstrap ## the tests of client, server and web on Python 3.12 and 3.13, where this machine has them
	scripts/other_pythons.sh

docs: bootstrap ## the documentation as a site, in build/site; a broken link fails
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build

lint: bootstrap ## ruff and mypy
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

UV_LOCK = .venv/bin/uv pip compile setup.py --generate-hashes $(LOCK_FLAGS) -q --custom-compile-command "make lock"

# serving.lock is for the Pythons that TFX does not run on.
lock: bootstrap ## mend the lock files after a change of setup.py (LOCK_FLAGS=--upgrade: newest versions)
	$(UV_LOCK) --all-extras --python-version 3.11 --python-platform x86_64-manylinux_2_39 -o requirements/all.lock
	$(UV_LOCK) --extra server --extra web --extra batch --extra formats --extra credentials --extra video --extra onnx --extra export --extra dev --universal --python-version 3.12 -o requirements/serving.lock

clean: ## remove what builds and runs left here, the environment too
	rm -rf build dist *.egg-info .venv .bootstrap.lock

.PHONY: bootstrap
bootstrap:
	@scripts/bootstrap.sh
