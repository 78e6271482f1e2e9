# `make` alone lists the targets. Everything installs what it needs into .venv.
PYTHON ?= python3
BIN := .venv/bin
CLUSTER := PYTHONPATH=tests $(BIN)/python -m cluster

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: setup ## A cluster, taskmill and four Tasks shown through to their verdicts (CONTEXT=name: on yours)
	@PYTHONPATH=tests $(BIN)/python -m demo $(if $(CONTEXT),--context $(CONTEXT))

test: setup check ## Everything: lint, types, unit, wire, cluster and end-to-end tests
	@$(CLUSTER) build --install
	$(BIN)/python -m pytest

check: setup ## Lint, types, layers, and whether crds/ is what the models say
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: setup ## The tests that need no cluster
	$(BIN)/python -m pytest tests/unit tests/wire

faults: setup ## All of the faults and hostile input of which `make test` tries a few
	TASKMILL_FAULTS=long $(BIN)/python -m pytest -s tests/e2e/faults tests/e2e/hostile

crds: setup ## Write crds/ from the models
	$(BIN)/taskmill crds crds

manifests: crds ## Write manifests/install.yaml, and what the chart has of the other manifests
	{ for crd in crds/*.yaml; do cat $$crd; echo ---; done; kubectl kustomize manifests/base; } \
		> manifests/install.yaml
	mkdir -p manifests/chart/crds manifests/chart/files
	cp crds/*.yaml manifests/chart/crds
	cp $(addprefix manifests/,account/rbac.yaml account/guards.yaml base/deployment.yaml ha/disruptions.yaml \
		ha/replicas.yaml namespaced/watched/role.yaml roles/roles.yaml) manifests/chart/files

record: setup ## Play every way to fail on the local cluster, and record it for docs and unit tests
	TASKMILL_RECORD=1 $(BIN)/python -m pytest tests/e2e/verdicts
	@$(MAKE) docs

mutants: setup ## Count how many small changes of plan/ and diagnose/ the unit tests notice
	@$(BIN)/python tests/mutants.py $(NAMES)

docs: setup ## Write the generated pages of docs/
	@PYTHONPATH=tests $(BIN)/python -m docs

site: setup ## Build docs/ as a website into dist/site; it needs no network to be read
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -f docs/.mkdocs/mkdocs.yml

cluster: setup ## Start a Kubernetes on this machine (as root)
	@$(CLUSTER) up --install

status: setup ## Show the parts of the local cluster
	@$(CLUSTER) status

cluster-down: setup ## Stop the local cluster and remove every trace of it
	@$(CLUSTER) down

bench: setup ## Throughput, latencies, writes, CPU and memory, on clusters of its own; writes docs/bench.md
	@PYTHONPATH=tests $(BIN)/python -m bench

soak: setup ## Run a mix of everything for half an hour; nothing of the operator may grow
	@PYTHONPATH=tests $(BIN)/python -m soak

image: setup ## The operator's image as an archive in dist/, without an engine or a registry
	@PYTHONPATH=tests $(BIN)/python -m image build

LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-annotate --custom-compile-command "make lock" --quiet

lock: setup ## Pin the newest allowed dependencies
	$(LOCK) pyproject.toml --extra dev --upgrade --output-file requirements.lock
	$(LOCK) pyproject.toml --extra gateway --constraints requirements.lock --output-file operator/requirements.lock
	echo hatchling | $(LOCK) - --constraints requirements.lock --output-file operator/build.lock

image-lock: setup ## Pin today's Debian packages for the image
	@PYTHONPATH=tests $(BIN)/python -m image lock

setup: .venv/.installed

.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		test "$$(id -u)" = 0 && command -v apt-get >/dev/null || \
			{ echo "$(PYTHON) lacks venv: apt-get install python3-venv" >&2; exit 1; }; \
		apt-get update -q >/dev/null && apt-get install -qy --no-install-recommends python3-venv; }
	@echo "installing Python dependencies into .venv"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: help demo test check unit faults crds manifests record mutants docs site cluster status cluster-down bench soak image lock image-lock setup
