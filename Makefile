PYTHON ?= python3
# The versions that CI uses; `make CONSTRAINTS=constraints/oldest.txt test` takes the oldest, an empty value the newest.
CONSTRAINTS ?= constraints/ci.txt

.PHONY: demo test lint docs clean

demo: .venv/installed
	@.venv/bin/python -m argus_arena.demo

test: .venv/installed
	@.venv/bin/python tests/run_parts.py

lint: .venv/installed
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check --quiet
	@.venv/bin/mypy
	@.venv/bin/mypy tests/typed_user.py

docs: .venv/installed
	@.venv/bin/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "the site is build/docs/index.html"

clean:
	rm -rf .venv demo

.venv/installed: pyproject.toml $(CONSTRAINTS)
	@echo "installing into .venv (a few minutes the first time)"
	@test -x .venv/bin/pip || $(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check $(addprefix --constraint ,$(CONSTRAINTS)) --editable '.[dev]'
	@touch $@
