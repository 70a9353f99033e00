# Needs GNU make, a POSIX shell, and Python 3.11 or newer. `make help` tells more.

PYTHON ?= python3
ARGS ?=
PIP_QUIET ?= --quiet
comma := ,

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help train population lm plateau migration test bench docs lint format clean
.PHONY: test-slow test-tensorflow test-browser run-browser
.PHONY: test-oldest run-oldest test-newest run-newest

help:
	@echo 'make train            train on handwritten digits (more flags: ARGS="...")'
	@echo 'make population       train 32 members at once, each with its own learning rate'
	@echo 'make lm               train a language model, and branches of other lengths'
	@echo 'make plateau          train with a rate that reacts to the validation loss'
	@echo 'make migration        hand a run of Optax over half-way (a new directory each time)'
	@echo 'make test             lint, check types, run the tests'
	@echo 'make bench            measure against Optax: benchmarks/results.md'
	@echo 'make docs             build the documentation site: build/site/index.html'
	@echo 'make lint             only lint and check types'
	@echo 'make format           format the code, and mend what ruff can mend'
	@echo 'make test-slow        the tests that take long, or repeat others with more'
	@echo 'make test-tensorflow  the tests that need TensorFlow'
	@echo 'make test-browser     the tests that need Chromium'
	@echo 'make test-oldest      the tests with the oldest supported versions (Python 3.11)'
	@echo 'make test-newest      the tests with the newest versions (Python 3.13 or 3.12)'
	@echo 'make clean            remove what make has made, except the runs'
	@echo
	@echo 'Python is $(PYTHON); another one: make test PYTHON=python3.12'

train: .venv/.examples
	.venv/bin/python examples/digits/main.py \
	  --config=configs/digits.py --workdir=runs/digits $(ARGS)

population: .venv/.examples
	.venv/bin/python -m examples.population.main \
	  --config=configs/population.py --workdir=runs/population $(ARGS)

LM = .venv/bin/python -m examples.lm.main --config=configs/lm.py --workdir=runs/lm

lm: .venv/.examples
	$(LM) $(ARGS)
	$(LM) --branch_from_step=200 --branch_steps=50 $(ARGS)
	$(LM) --branch_from_step=400 --branch_steps=100 $(ARGS)

plateau: .venv/.examples
	.venv/bin/python -m examples.plateau.main \
	  --config=configs/plateau.py --workdir=runs/plateau $(ARGS)

migration: .venv/.examples
	.venv/bin/python -m examples.optax_migration.main \
	  --workdir=runs/optax_migration $(ARGS)

test: lint
	.venv/bin/python -m pytest -n 2 $(ARGS)

bench: .venv/.test
	.venv/bin/python -m benchmarks.main

docs: .venv/.docs
	NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build

lint: .venv/.test
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy

format: .venv/.test
	.venv/bin/python -m ruff check --fix-only --quiet .
	.venv/bin/python -m ruff format .

test-slow: .venv/.test
	.venv/bin/python -m pytest -n 2 -m slow $(ARGS)

test-tensorflow: .venv-tensorflow/.test
	.venv-tensorflow/bin/python -m pytest -m tensorflow $(ARGS)

test-browser:
	@$(check_python)
	@if $(PYTHON) tests/browsers.py >/dev/null; then \
	  $(MAKE) --no-print-directory run-browser; \
	else \
	  echo 'test-browser: skipped, since no Chromium was found.'; \
	  echo 'On Debian or Ubuntu: apt install chromium. Elsewhere: CHROMIUM=/path/to/it'; \
	fi

run-browser: .venv/.browser
	.venv/bin/python -m pytest -m browser $(ARGS)

test-oldest:
	@$(find_python); python=$$(find_python 3.11); \
	if [ -n "$$python" ]; then \
	  $(MAKE) --no-print-directory run-oldest PYTHON="$$python"; \
	else \
	  echo 'test-oldest: skipped, since no working Python 3.11 was found.'; \
	  echo 'The oldest versions have no wheels for a newer Python.'; \
	fi

run-oldest: .venv-oldest/.test
	.venv-oldest/bin/python -m pytest -n 2 $(ARGS)

test-newest:
	@$(find_python); python=$$(find_python 3.13 3.12); \
	if [ -n "$$python" ]; then \
	  $(MAKE) --no-print-directory run-newest PYTHON="$$python"; \
	else \
	  echo 'test-newest: skipped, since no working Python 3.13 or 3.12 was found.'; \
	  echo 'The newest JAX does not support Python 3.11.'; \
	fi

run-newest: .venv-newest/.test
	.venv-newest/bin/python -m pytest -n 2 $(ARGS)
	.venv-newest/bin/python -m pytest -m slow tests/test_optax_compat.py

clean:
	rm -rf .venv .venv-tensorflow .venv-oldest .venv-newest
	rm -rf build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environments. A stamp in each says what is installed; a change of
# pyproject.toml or of its constraints installs again.

.venv/.examples: pyproject.toml constraints/default.txt
	$(call install,.venv,default,examples)
	@touch $@

.venv/.docs: pyproject.toml constraints/default.txt
	$(call install,.venv,default,docs)
	@touch $@

# This extra holds these two as well, so they have nothing left to do.
.venv/.test: pyproject.toml constraints/default.txt
	$(call install,.venv,default,test)
	@touch .venv/.examples .venv/.docs $@

.venv/.browser: pyproject.toml constraints/default.txt
	$(call install,.venv,default,test$(comma)browser)
	@touch .venv/.examples .venv/.docs .venv/.test $@

.venv-tensorflow/.test: pyproject.toml constraints/tensorflow.txt
	$(call install,.venv-tensorflow,tensorflow,test$(comma)tensorflow)
	@touch $@

.venv-oldest/.test: pyproject.toml constraints/oldest.txt
	$(call install,.venv-oldest,oldest,test)
	@touch $@

.venv-newest/.test: pyproject.toml constraints/newest.txt
	$(call install,.venv-newest,newest,test)
	@touch $@

# $(call install,FOLDER,CONSTRAINTS,EXTRAS)
define install
@$(check_python)
@$(1)/bin/python -m pip --version >/dev/null 2>&1 || \
  $(PYTHON) -m venv --clear $(1)
@echo 'Installing flax-sched[$(3)] in $(1): a minute or more, the first time.'
$(1)/bin/python -m pip install $(PIP_QUIET) --disable-pip-version-check \
  -c constraints/$(2).txt -e '.[$(3)]'
endef

define check_python
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
  echo 'flax_sched needs Python 3.11 or newer; `$(PYTHON)` is older or does not run.'; \
  echo 'Name another one: make $(MAKECMDGOALS) PYTHON=python3.12'; \
  exit 1; \
}; \
$(PYTHON) -c 'import ensurepip, venv' || { \
  echo '`$(PYTHON)` cannot make virtual environments.'; \
  echo 'On Debian or Ubuntu: apt install python3-venv'; \
  exit 1; \
}
endef

# Defines the shell function `find_python VERSION...`: it prints the path of the
# first Python of such a version that runs. (A pyenv shim may exist and not run,
# so pyenv's own folders are tried as well.)
define find_python
find_python() { \
  for version in "$$@"; do \
    for candidate in $(PYTHON) "python$$version" \
        "$$(pyenv root 2>/dev/null)/versions/$$version".*/bin/python; do \
      "$$candidate" -c 'import ensurepip, sys, venv; \
        assert "%d.%d" % sys.version_info[:2] == sys.argv[1]; \
        print(sys.executable)' "$$version" 2>/dev/null && return; \
    done; \
  done; \
}
endef
