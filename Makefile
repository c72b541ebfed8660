# `make demo` and `make test` do everything from a clean clone: the virtual environment in .venv is
# made on the first call, and again whenever pyproject.toml changes.

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/ready
# What makes every family's bitstreams is 400 MB, and for the slow tests only.
TOOLS := $(VENV)/tools
INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable

.PHONY: demo test slow clean

demo: $(READY)
	$(VENV)/bin/quantflow demo

test: $(READY)
	$(VENV)/bin/python -m pytest -n auto --dist loadfile

slow: $(TOOLS)
	$(VENV)/bin/python -m pytest -m slow

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "quantflow needs Python 3.11 or newer as $(PYTHON): try make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(INSTALL) '.[test]'
	touch $@

$(TOOLS): $(READY)
	$(INSTALL) '.[build]'
	touch $@

clean:
	rm -rf $(VENV) build
