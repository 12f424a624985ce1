# Needs Python 3.10 or newer, make and a package registry; everything else goes into .venv.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
BENCH  := .venv-bench

.PHONY: venv test demo lint types docs cov fuzz soak reliability features bench bench-micro clean
.NOTPARALLEL:  # both stamps below install into the same .venv

venv: $(VENV)/.test

# The README's two commands. `local install` fetches the embedded model's engine and weights where they are missing.
test: $(VENV)/.test
	$(RUN) -m llmclients local install
	$(RUN) -m pytest

demo: $(VENV)/.demo
	$(RUN) -m llmclients local install
	$(RUN) -m llmclients demo

lint: $(VENV)/.test
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: $(VENV)/.test
	$(RUN) -m mypy

docs: $(VENV)/.test
	$(RUN) -m sphinx -b html -W --keep-going -q docs docs/_build/html

cov: $(VENV)/.test
	$(RUN) -m llmclients local install
	$(RUN) -m coverage erase
	$(RUN) -m coverage run -m pytest
	$(RUN) -m coverage combine --quiet
	$(RUN) -m coverage report

# Each target for FUZZ_SECONDS (default 60); SOAK_SCALE=0.01 is a hundredth of the soak. Both leave their results for the
# page that `make reliability` writes.
fuzz: $(VENV)/.fuzz
	$(RUN) -m tests.fuzz

soak: $(VENV)/.test
	$(RUN) -m tests.soak

reliability: $(VENV)/.test
	$(RUN) -m tests.reliability

# Writes the tables of docs/providers.md.
features: $(VENV)/.test
	$(RUN) -m tests.features

# Writes docs/benchmarks.md. QUICK=1 does with fewer and smaller runs, in about two minutes.
bench: $(BENCH)/.bench
	QUICK=$(QUICK) $(BENCH)/bin/python -m benchmarks

bench-micro: $(BENCH)/.bench
	$(BENCH)/bin/python -m pytest -c tests/benchmarks/pytest.ini tests/benchmarks --benchmark-sort=name

clean:
	rm -rf $(VENV) $(BENCH) .tox build dist *.egg-info docs/_build htmlcov .coverage .coverage.* \
		.hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# One stamp for each set of extras: `make demo` does not wait for the test tools, and either target may come first.
$(VENV)/.demo: EXTRAS := relay,local
$(VENV)/.test: EXTRAS := test,relay,local
$(VENV)/.fuzz: EXTRAS := fuzz
$(VENV)/.demo $(VENV)/.test $(VENV)/.fuzz: setup.cfg setup.py llmclients/_version.py | $(RUN)
	$(RUN) -m pip install --quiet --disable-pip-version-check --use-pep517 --editable ".[$(EXTRAS)]"
	touch $@

$(RUN):
	$(PYTHON) -m venv $(VENV)

# The peers have their own environment, and within it litellm has one, because it pins an openai older than the others'.
$(BENCH)/.bench: setup.cfg setup.py llmclients/_version.py
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --use-pep517 --editable ".[bench]"
	$(PYTHON) -m venv $(BENCH)/litellm
	$(BENCH)/litellm/bin/python -m pip install --quiet --disable-pip-version-check "litellm>=1.106" typing-extensions
	touch $@
