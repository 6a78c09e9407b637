# make drill   set up and rehearse on simulated endpoints
# make test    set up and run all tests
# make machines   start three real Linux machines in network namespaces, to try things on (root)
# make picture    record the live screen of a drill for the README
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: drill test lint bench machines picture clean

drill: $(READY)
	@$(BIN)/outagekit drill bad-update-rollback --endpoints 40 --speed 300

# In two processes; what fails there, perhaps because both cores were busy, must pass alone.
test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder || \
	  $(BIN)/python -m pytest --last-failed --last-failed-no-failures none

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

machines: $(READY)
	@$(BIN)/python -m outagekit.testing.machines

picture: $(READY)
	@$(BIN)/python -m outagekit.testing.picture docs/live.svg docs/end.svg

bench: $(READY)
	$(BIN)/python benchmarks/fleet.py
	$(BIN)/python benchmarks/winrm_messages.py

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "outagekit needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "on Debian and Ubuntu first: apt-get install python3-venv" >&2; exit 2; }
	@PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $(READY)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
