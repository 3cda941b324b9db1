PYTHON ?= python3

.PHONY: demo test lint docs clean

demo: .venv/installed
	@.venv/bin/python -m argus_arena.demo

test: .venv/installed
	@.venv/bin/python tests/run_parts.py

lint: .venv/installed
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check --quiet
	@.venv/bin/mypy

docs: .venv/installed
	@.venv/bin/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "the site is build/docs/index.html"

clean:
	rm -rf .venv demo

.venv/installed: pyproject.toml
	@echo "installing into .venv (a few minutes the first time)"
	@test -x .venv/bin/pip || $(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
