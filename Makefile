# Everything runs inside .venv, which `make setup` makes from Python 3.11 and PyPI alone.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: setup demo test slow browser check lint audit lock bench-cases bench-deliver bench-search bench-suites bench-real clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[all,dev]"
	touch $(STAMP)

demo: $(STAMP)  ## the main job on a small real example
	$(BIN)/bitbudget search --spec examples/digits/job.yaml --out out/demo --force

test: $(STAMP)  ## every test that needs neither minutes nor a browser
	$(BIN)/python -m pytest -n 2 -m "not slow and not browser"

slow: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadscope -m slow

AXE := build/axe/axe.min.js
AXE_VERSION := 4.14.1

browser: $(STAMP) $(AXE)
	$(BIN)/python -m pytest -m browser

$(AXE): Makefile  ## checks accessibility; from npm, for tests only
	mkdir -p $(@D)
	cd $(@D) && npm pack --silent axe-core@$(AXE_VERSION) && tar -xzf axe-core-$(AXE_VERSION).tgz --strip-components=1 package/axe.min.js
	touch $@

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture

check: lint test audit  ## what CI runs first

audit: $(STAMP)  ## known flaws of the locked versions; without its service it says NOT AUDITED and passes
	$(BIN)/python .ci/audit || [ $$? -eq 3 ]

lock: $(STAMP)  ## raise the locked versions: once a month, and when audit names one
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
		--extra all pyproject.toml --output-file requirements.lock

CASES ?= cases
bench-cases: $(STAMP)  ## every folder of CASES on j6m and j6p
	$(BIN)/python -m benchmarks.cases --cases $(CASES) --write benchmarks/cases.md

bench-deliver: $(STAMP)  ## every folder of CASES on four targets: what of it reaches the vendors' files
	$(BIN)/python -m benchmarks.deliver --cases $(CASES) --write benchmarks/deliver.md

bench-search: $(STAMP)  ## every strategy on small networks and on the folders of CASES
	$(BIN)/python -m benchmarks.search --cases $(CASES) --write benchmarks/search.md

SUITES ?=
bench-suites: $(STAMP)  ## collections of small public models: the folders of SUITES, and those of the onnx package
	$(BIN)/python -m benchmarks.suites --suites $(SUITES) --write benchmarks/suites.md

bench-real: $(STAMP)  ## networks that packages ship and libraries build, in an environment of their own below build/real
	$(BIN)/python -m benchmarks.real --write benchmarks/real.md

clean:
	rm -rf out build .mypy_cache .ruff_cache .pytest_cache
