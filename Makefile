# Tollgate: build, run, test. `make` alone lists the targets. Nothing here needs root.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

CARGO ?= cargo
PYTHON ?= python3
# Flags for `make run`, e.g. make run ARGS='--allow-host hooks.slack.com'
ARGS ?=

# Written by the installers, so that removing what they installed runs them again.
NODE_INSTALLED := tests/interop/node_modules/.package-lock.json
PYTHON_INSTALLED := .venv/installed
DEBUG_BINARY := target/debug/tollgate
SHIPPED := target/shipped/tollgate
INTEROP_DATA := target/interop
VENV_PYTHON := .venv/bin/python
# Quiet and complete whether or not a terminal is attached.
export CARGO_TERM_PROGRESS_WHEN := never

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: prerequisites-run ## Build and start the proxy on 127.0.0.1:3128 (flags: ARGS='...')
	$(CARGO) build --release --locked
	target/release/tollgate run $(ARGS)

.PHONY: test
test: prerequisites ## Everything: Rust tests, the real npm clients, the Parquet readers
	@tests/all.sh

.PHONY: test-rust
test-rust: ## Unit, property and end-to-end tests
	$(CARGO) test --locked

.PHONY: test-interop
test-interop: $(NODE_INSTALLED) ## The HTTP, SMTP and WebSocket clients of Kibana through a running proxy
	$(CARGO) build --locked
	cd tests/interop && TOLLGATE_BIN=$(abspath $(DEBUG_BINARY)) TOLLGATE_INTEROP_DIR=$(abspath $(INTEROP_DATA)) npm test

.PHONY: test-readers
test-readers: $(PYTHON_INSTALLED) ## DuckDB, PyArrow, Polars, Spark and ClickHouse over what the last test-interop recorded and a running gate; both verifiers; the search for secrets
	$(CARGO) build --locked
	@datasets=$$(find $(INTEROP_DATA) -type d -name audit 2>/dev/null | sort); \
	[ -n "$$datasets" ] || { echo 'no dataset below $(INTEROP_DATA): run `make test-interop` first' >&2; exit 1; }; \
	$(VENV_PYTHON) tests/readers/check.py --tollgate $(DEBUG_BINARY) $$datasets; \
	for dataset in $$datasets; do echo "== $$dataset"; \
	  $(VENV_PYTHON) tests/readers/agree.py $(DEBUG_BINARY) "$${dataset%/audit}"; done; \
	$(VENV_PYTHON) tests/readers/agree_maintained.py $(DEBUG_BINARY); \
	for secrets in $$(find $(INTEROP_DATA) -name secrets.json); do echo "== $$secrets"; \
	  $(VENV_PYTHON) tests/readers/search_secrets.py "$${secrets%/secrets.json}/data/audit" "$$secrets"; done

.PHONY: bench
bench: prerequisites-run ## What each step of a call costs, subject by subject (ARGS=policy for one)
	$(CARGO) bench --locked --bench subjects -- $(ARGS)

# `cargo bench` builds the program with what only tests need of its dependencies; measured is what users run.
.PHONY: shipped
shipped: prerequisites-run
	$(CARGO) build --release --locked --bin tollgate
	mkdir -p $(dir $(SHIPPED))
	cp target/release/tollgate $(SHIPPED)

.PHONY: bench-peers
bench-peers: export PEER_TOLLGATE ?= $(abspath $(SHIPPED))
bench-peers: shipped ## End to end, next to other proxies that are installed (ARGS='compare --help')
ifneq ($(ARGS),)
	$(CARGO) bench --locked --bench peers -- $(ARGS)
else
	for mode in compare latency idle scale report; do $(CARGO) bench --locked --bench peers -- $$mode; done
endif

.PHONY: bench-soak
bench-soak: export PEER_TOLLGATE ?= $(abspath $(SHIPPED))
bench-soak: shipped ## Ten minutes of mixed traffic: memory, descriptors, latency (ARGS='--seconds 60')
	$(CARGO) bench --locked --bench peers -- soak $(ARGS)

.PHONY: bench-evidence
bench-evidence: prerequisites-run ## What evidence costs: journal, sealing, bytes a row; calls with fsync, write and none (ARGS='--rounds 3')
	$(CARGO) bench --locked --bench evidence
	$(CARGO) bench --locked --features bench-without-evidence --bench peers -- evidence $(ARGS)

.PHONY: lint
lint: ## Format, clippy, licences and sources of dependencies, documentation; warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --features bench-without-evidence --bins -- -D warnings
	@$(CARGO) deny --version >/dev/null 2>&1 || { echo 'cargo-deny is missing: cargo install cargo-deny --locked' >&2; exit 1; }
	$(CARGO) deny --locked check bans licenses sources
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --document-private-items

.PHONY: check-samples
check-samples: ## `tollgate check` over the samples in deploy/
	$(CARGO) build --locked
	$(DEBUG_BINARY) check --config deploy/tollgate.yml

.PHONY: clean
clean: ## Remove what was built and installed here; keeps certs/ and tollgate-data/
	rm -rf target .venv tests/interop/node_modules

.PHONY: prerequisites prerequisites-run
prerequisites:
	@tests/prerequisites.sh rust node python
prerequisites-run:
	@tests/prerequisites.sh rust

$(NODE_INSTALLED): tests/interop/package.json tests/interop/package-lock.json
	cd tests/interop && npm ci

$(PYTHON_INSTALLED): tests/readers/requirements.txt
	$(PYTHON) -m venv --clear .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@
