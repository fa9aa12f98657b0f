# Everything that one does with this repository. `make` alone says what there is.
#
#   PYTHON           the Python that makes .venv (3.11 or newer)
#   TORCH_INDEX_URL  where torch comes from, e.g. https://download.pytorch.org/whl/cpu
#   ARGS             further arguments of `demo`, `test`, `bench` and `lock`

PYTHON ?= python3
TORCH_INDEX_URL ?=
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
UV = VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(BIN)/uv
INSTALL = $(UV) pip install --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-all check bench lock clean distclean

help:
	@echo "make demo      install what training without torch needs (about 400 MB) and run the demo"
	@echo "make test      install torch and the developer tools as well, run the tests but the slow ones"
	@echo "make test-all  all tests"
	@echo "make check     ruff, mypy, import contracts, documentation"
	@echo "make bench     measure (benchmarks/run.py)"
	@echo "make lock      make constraints.txt again (ARGS=--upgrade: with the newest releases)"
	@echo "make clean     remove caches and builds; distclean: .venv too"

# -- the environment: a stamp a step, older than what it depends on means do it again ---------------------------------

$(VENV)/.uv:
	@command -v "$(PYTHON)" >/dev/null || { echo "there is no $(PYTHON): install Python 3.11 or newer, or say make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "handful needs Python 3.11 or newer, $(PYTHON) is $$("$(PYTHON)" -c 'import platform; print(platform.python_version())'): make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@echo "making $(VENV)"
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@touch $@

$(VENV)/.learn: $(VENV)/.uv pyproject.toml constraints.txt
	@echo "installing handful[learn]"
	@$(INSTALL) --editable '.[learn]'
	@touch $@

$(VENV)/.dev: $(VENV)/.learn
	@echo "installing handful[torch,timm,phone,tune] and the developer tools"
ifeq ($(TORCH_INDEX_URL),)
	@echo "  on Linux about 5.6 GB with the CUDA libraries; TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu makes it smaller"
else
	@echo "  torch from $(TORCH_INDEX_URL)"
	@$(INSTALL) --no-deps --default-index "$(TORCH_INDEX_URL)" torch torchvision torchaudio
endif
	@$(INSTALL) --editable '.[torch,timm,phone,tune]' --group dev
	@touch $@

# -- what one does with it --------------------------------------------------------------------------------------------

demo: $(VENV)/.learn
	@$(BIN)/handful demo $(ARGS)

test: $(VENV)/.dev
	@$(BIN)/python -m pytest -m "not slow" $(ARGS)

test-all: $(VENV)/.dev
	@$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest --quiet tests/test_docs.py

bench: $(VENV)/.dev
	@$(BIN)/python benchmarks/run.py $(ARGS)

lock: $(VENV)/.uv
	@$(UV) pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate \
	    --all-extras --group dev $(ARGS) pyproject.toml --output-file constraints.txt

clean:
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache src/*.egg-info
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	@rm -rf $(VENV)
