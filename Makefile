PYTHON ?= python3
# The versions that CI uses; `make CONSTRAINTS=constraints/oldest.txt test` takes the oldest, an empty value the newest.
CONSTRAINTS ?= constraints/ci.txt
MARKS = not slow
# A worker that ends takes its file along, and pytest-xdist then waits for ever: rather stop and say which test it was.
PYTEST = .venv/bin/python -m pytest -n logical --dist loadfile --no-loadscope-reorder --max-worker-restart 0

.PHONY: help demo test test-slow test-graphs lint hooks docs clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: .venv/installed  ## see photographs through the built-in model, train four heads on drawn scenes
	@.venv/bin/python -m argus_arena.demo

test: .venv/installed  ## all tests but the slow ones, on all cores; with MARKS="not graphs" all that CI runs
	@$(PYTEST) -m "$(MARKS)"

test-slow: .venv/installed  ## what is slow and rarely breaks: installed strangers, every template, graphs
	@$(PYTEST) -m "slow and not graphs"

test-graphs: .venv/installed  ## graphs of every experimental detector, after a change of theirs or of the export
	@$(PYTEST) -m graphs

lint: .venv/installed  ## ruff, mypy, and the order of the packages
	@.venv/bin/ruff check --no-cache
	@.venv/bin/ruff format --check --quiet
	@.venv/bin/mypy
	@.venv/bin/mypy tests/project/typed_user.py
	@.venv/bin/lint-imports

hooks: .venv/installed  ## lint what a commit changes, before each commit
	@.venv/bin/pre-commit install

docs: .venv/installed  ## the site, in build/docs
	@.venv/bin/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "the site is build/docs/index.html"

clean:  ## remove the environment and what the demo wrote
	rm -rf .venv demo

.venv/installed: pyproject.toml $(CONSTRAINTS)
	@echo "installing into .venv (a few minutes the first time)"
	@test -x .venv/bin/pip || $(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile $(addprefix --constraint ,$(CONSTRAINTS)) --editable '.[dev]'
	@.venv/bin/python -m compileall -q -j 0 .venv/lib > /dev/null 2>&1 || true  # on all cores; pip takes one
	@touch $@
