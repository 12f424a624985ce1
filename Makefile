# Needs Python 3.10 or newer, make and a package registry; everything else goes into .venv.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
NEWEST := .venv-newest
BENCH  := .venv-bench

UV      := $(RUN) -m uv
# Everything that is locked is named in the lock, so nothing is resolved. pip can do it as well, in a minute instead of
# seconds: `make INSTALL=".venv/bin/python -m pip install" …`.
INSTALL ?= $(UV) pip install --quiet --python $(RUN)
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.10 --upgrade --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock"

# Without compiled modules, each process that a test starts would compile all that it imports.
export UV_COMPILE_BYTECODE := 1
export PYTHONDONTWRITEBYTECODE :=

# How many processes share the tests.
WORKERS ?= 2
SHARED  := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
PYTEST  := $(RUN) -m pytest $(SHARED)
# What needs no socket, no other process and no model.
FAST := tests/types tests/config tests/codecs tests/calls tests/providers tests/test_errors.py tests/test_clients.py

.PHONY: venv test test-fast test-uvloop random demo lint types docs cov lock newest fuzz soak soak-relay reliability features screenshots bench bench-micro clean
.NOTPARALLEL:  # both stamps below install into the same .venv

venv: $(VENV)/.test

# The README's two commands. `local install` fetches the embedded model's engine and weights where they are missing.
test: $(VENV)/.test
	$(RUN) -m llmclients local install
	$(PYTEST)

demo: $(VENV)/.demo
	$(RUN) -m llmclients local install
	$(RUN) -m llmclients demo

# For every commit: the unit rooms only, in seconds.
test-fast: $(VENV)/.test
	$(PYTEST) -q -m "not local and not long" --hypothesis-profile=fast $(FAST)

# What waits, on uvloop. Its `loop.close` does not return while the loop has open connections, as one test leaves it.
test-uvloop: $(VENV)/.test
	$(PYTEST) -q --loop uvloop -m "not local" tests/transports tests/faults tests/proxies tests/calls tests/test_clients.py \
		tests/test_lifecycle.py --deselect tests/transports/test_sharing.py::test_loops_that_were_closed_carelessly

# The whole suite in another order each time; SEED repeats one.
random: $(VENV)/.test
	$(RUN) -m llmclients local install
	$(PYTEST) -p randomly $(if $(SEED),--randomly-seed=$(SEED))

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

# The newest release of everything that setup.cfg allows, for every Python that it allows, with the hash of each file:
# what `make demo` and `make test` install. The weights' file has its hash in llmclients/local/packages.py.
lock: $(VENV)/.uv
	$(COMPILE) --extra test --extra relay --extra local setup.cfg requirements/build.in -o requirements/test.txt
	$(COMPILE) --extra relay --extra local setup.cfg requirements/build.in -c requirements/test.txt -o requirements/demo.txt
	$(COMPILE) requirements/uv.in -o requirements/uv.txt

# The tests on the newest of everything, and what it has that the lock has not.
newest: $(VENV)/.uv
	rm -rf $(NEWEST)
	$(PYTHON) -m venv $(NEWEST)
	$(UV) pip install --quiet --python $(NEWEST)/bin/python -r requirements/build.in --editable ".[test,relay,local]"
	$(NEWEST)/bin/python -m llmclients local install
	$(NEWEST)/bin/python -m pytest $(SHARED); status=$$?; $(NEWEST)/bin/python requirements/changes.py; exit $$status

# How many rows, and how many kills, the soak of `bulk` has, and how many rows that of its Dask workers.
BULK_ROWS  ?= 1000000
BULK_KILLS ?= 100
DASK_ROWS  ?= 200000

# Each target for FUZZ_SECONDS (default 60); SOAK_SCALE=0.01 is a hundredth of the soak. Both leave their results for the
# page that `make reliability` writes.
fuzz: $(VENV)/.fuzz
	$(PYTEST) -q -m hypothesis --hypothesis-profile=fuzz
	$(RUN) -m tests.fuzz

soak: $(VENV)/.test
	$(RUN) -m tests.soak
	$(RUN) tests/bulk/many_rows.py $(BULK_ROWS)
	$(RUN) tests/bulk/kills.py 20000 $(BULK_KILLS)
	$(RUN) tests/bulk/workers.py $(DASK_ROWS) 5

# Hundreds of streams at once through a relay; RELAY_SECONDS=60 for a minute in place of half an hour.
soak-relay: $(VENV)/.test
	$(RUN) -m tests.relay_soak

reliability: $(VENV)/.test
	$(RUN) -m tests.reliability

# Writes the tables of docs/providers.md.
features: $(VENV)/.test
	$(RUN) -m tests.features

# Takes the pictures of docs/command-line.md and docs/the-page.md; the page's need chromium and its chromedriver.
screenshots: $(VENV)/.test
	$(RUN) -m tests.screenshots
	$(RUN) -m tests.screenshots.page

# Writes docs/benchmarks.md. QUICK=1 does with fewer and smaller runs, in a few minutes.
bench: $(BENCH)/.bench
	QUICK=$(QUICK) $(BENCH)/bin/python -m benchmarks

bench-micro: $(BENCH)/.bench
	$(BENCH)/bin/python -m pytest -c tests/benchmarks/pytest.ini tests/benchmarks --benchmark-sort=name

clean:
	rm -rf $(VENV) $(NEWEST) $(BENCH) .tox build dist *.egg-info docs/_build htmlcov .coverage .coverage.* \
		.hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# One stamp for each lock: `make demo` does not wait for the test tools, and either target may come first.
$(VENV)/.demo $(VENV)/.test: $(VENV)/.%: requirements/%.txt setup.cfg setup.py llmclients/_version.py | $(VENV)/.uv
	$(INSTALL) --no-deps --require-hashes -r $<
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.fuzz: setup.cfg | $(VENV)/.test
	$(UV) pip install --quiet --python $(RUN) --no-build-isolation -c requirements/test.txt --editable ".[fuzz]"
	touch $@

$(VENV)/.uv: requirements/uv.txt | $(RUN)
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@

$(RUN):
	$(PYTHON) -m venv $(VENV)

# The peers have their own environment, and within it litellm has one: its sixty distributions would decide the others'.
$(BENCH)/.bench: setup.cfg setup.py llmclients/_version.py
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --use-pep517 --editable ".[bench]"
	$(PYTHON) -m venv $(BENCH)/litellm
	$(BENCH)/litellm/bin/python -m pip install --quiet --disable-pip-version-check "litellm>=1.106" typing-extensions
	touch $@
