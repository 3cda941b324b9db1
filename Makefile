PYTHON ?= python3

.PHONY: demo test lint clean

demo: .venv/installed
	@.venv/bin/python -m argus_arena.demo

# Tracers and inference engines leave threads and graphs in a process, beside which others have crashed: one of their own.
test: .venv/installed
	@.venv/bin/python -m pytest --ignore=tests/zoo --ignore=tests/test_export.py --ignore=tests/test_export_pieces.py
	@.venv/bin/python -m pytest tests/zoo
	@.venv/bin/python -m pytest tests/test_export.py tests/test_export_pieces.py

lint: .venv/installed
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check --quiet
	@.venv/bin/mypy

clean:
	rm -rf .venv demo

.venv/installed: pyproject.toml
	@echo "installing into .venv (a few minutes the first time)"
	@test -x .venv/bin/pip || $(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
