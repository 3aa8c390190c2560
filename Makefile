# Every target makes the environment first when it is missing or older than the lock file: python 3.11+ and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DATA_STAMP := $(VENV)/.installed-data
PORT ?= 8080
# What `make test` runs, the slowest files first so that both cores end together; other suites have targets of their own.
SUITES := tests/cli tests/feast tests/local tests/examples tests/unit tests/golden tests/chart
# One at a time: each test has an operator, its writer, PostgreSQL and an API server, which is enough for two cores.
CLUSTER_SUITES := tests/cluster tests/kube
# One at a time, too: some start a Java machine or a cluster of servers.
DATA_SUITES := tests/data
# Each in a Python environment of its own; one at a time.
NEIGHBOUR_SUITES := tests/neighbours
BROWSER_SUITES := tests/browser
# Type checkers and their parts, which Feast asks for and never imports.
NOT_IN_IMAGE := mypy ast-serialize librt mypy-extensions pathspec types-greenlet
BENCHES := $(patsubst tests/bench/bench_%.py,bench-%,$(wildcard tests/bench/bench_*.py))

.DEFAULT_GOAL := help
.PHONY: help demo example up image e2e cluster test test-cluster test-data test-neighbours test-browser kube lint verify generate bench lock \
	clean \
	$(BENCHES)

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## run the whole path once on embedded stores: YAML in, features out over HTTP (PORT=8080)
	$(BIN)/python tools/example.py commodity --port $(PORT)

example: $(STAMP) ## run one of the examples likewise (NAME=fraud PORT=8080)
	@$(BIN)/python tools/example.py "$(NAME)" --port $(PORT)

up: $(STAMP) ## keep everything up for examples/commodity until Ctrl-C (PORT=8080)
	$(BIN)/python examples/commodity/generate.py
	$(BIN)/featureplane up examples/commodity --data-root examples/commodity/data --port $(PORT)

image: ## build the image with docker, podman or buildah (IMAGE=name BASE_IMAGE=name)
	$(PYTHON) tools/image.py $(if $(IMAGE),--tag $(IMAGE)) $(if $(BASE_IMAGE),--base $(BASE_IMAGE))

test: $(STAMP) ## the tests that take minutes: unit, golden, examples, local, feast, cli, chart
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder $(SUITES) $(PYTEST_ARGS)

kube: $(STAMP) ## build the Kubernetes control plane that tests run on (the first time about 9 minutes)
	$(BIN)/python tests/kube/build.py
	$(BIN)/python tests/kube/published.py

e2e: $(STAMP) ## what users do, on a whole cluster: kind where Docker answers, else a node on this machine, as root
	$(BIN)/python tests/e2e/run.py $(PYTEST_ARGS)

cluster: $(STAMP) ## keep such a cluster up until Ctrl-C, with the image loaded
	$(BIN)/python tests/e2e/run.py --keep

test-cluster: $(STAMP) kube ## the operator on a real Kubernetes API server, which is built the first time (9 minutes)
	$(BIN)/pytest $(CLUSTER_SUITES) $(PYTEST_ARGS)

test-data: $(DATA_STAMP) ## Spark on Iceberg, Redis Cluster and Sentinel, Cassandra, S3; needs Java 17, and fetches 600 MB the first time
	$(BIN)/pytest $(DATA_SUITES) $(PYTEST_ARGS)

test-neighbours: $(STAMP) kube ## MLflow, Airflow, Ray Serve and Seldon beside us, which takes 2 GB on disk the first time
	$(BIN)/pytest $(NEIGHBOUR_SUITES) $(PYTEST_ARGS)

test-browser: $(STAMP) ## the status page in Debian's Chromium, which is installed where it is missing and we are root
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get update -qq && apt-get install -qq --no-install-recommends -y chromium fonts-dejavu-core; } || \
		{ echo "chromium is missing; install it, on Debian with: apt-get install chromium"; exit 2; }
	$(BIN)/pytest $(BROWSER_SUITES) $(PYTEST_ARGS)

lint: $(STAMP) ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tools/*.py
	$(BIN)/lint-imports

verify: lint ## lint, and that generated files are what would be generated now
	$(BIN)/python tools/generate_crds.py --check
	$(BIN)/python tools/generate_reference.py --check
	$(BIN)/python tools/generate_deploy.py --check
	$(BIN)/python tools/generate_chart.py --check
	$(BIN)/pip check

generate: $(STAMP) ## write crds/, docs/reference.md, deploy/ and parts of charts/ from the code
	$(BIN)/python tools/generate_crds.py
	$(BIN)/python tools/generate_reference.py
	$(BIN)/python tools/generate_deploy.py
	$(BIN)/python tools/generate_chart.py

bench: $(BENCHES) ## every benchmark: build/bench/NAME.json and a table each; one alone is bench-systems, bench-serve, ...

$(BENCHES): bench-%: $(STAMP)
	$(BIN)/python tests/bench/bench_$*.py

lock: ## pin the dependencies of pyproject.toml again, with hashes
	$(PYTHON) -m venv build/uv && build/uv/bin/pip install -q uv
	build/uv/bin/uv pip compile pyproject.toml --extra local --extra cassandra --group dev --universal --python-version 3.11 \
		--no-strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -q -o requirements/dev.txt
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["spark"], sep="\n")' | \
		build/uv/bin/uv pip compile - --constraint requirements/dev.txt --universal --python-version 3.11 \
		--no-strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -q -o requirements/data.txt
	build/uv/bin/uv pip compile pyproject.toml --extra cassandra --constraint requirements/dev.txt --universal --python-version 3.11 \
		$(addprefix --no-emit-package ,$(NOT_IN_IMAGE)) \
		--no-strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -q -o requirements/runtime.txt
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' | \
		build/uv/bin/uv pip compile - --constraint requirements/dev.txt --universal --python-version 3.11 \
		--no-strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -q -o requirements/build.txt
	for folder in examples/neighbours/*; do build/uv/bin/uv pip compile $$folder/requirements.in --universal --python-version 3.11 \
		--strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header -q -o $$folder/requirements.txt || exit 1; done

clean: ## remove the environment and everything that was built
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; name one with make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

# What only `make test-data` needs, beside the rest: pyspark is 430 MB.
$(DATA_STAMP): requirements/data.txt $(STAMP)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/data.txt
	@touch $(DATA_STAMP)
