# Two commands from a fresh clone: `make check` runs the conformance suite, `make test` runs our own tests.
# Both set up what they need first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# What the build and the tests use from the distribution (Debian names).
PACKAGES := gcc libc6-dev python3-dev python3-venv libseccomp2 iproute2 runc crun uidmap

# Engines that drive the runtime in tests, what CRIU needs there, a browser that reads the reports, a server that fuzzers share; where they cannot be installed, those tests are skipped by name.
ENGINES := podman conmon containerd busybox-static chromium chromium-driver patchelf mmdebstrap iptables openssh-server clang libclang-rt-dev redis-server

NATIVE := $(wildcard native/*.py native/*/*.c native/*/*.h native/*/*.py)
SETUP := pyproject.toml setup.py $(wildcard runtime/entry/*)

EXPECTATIONS := conformance/verdict/expectations

.PHONY: expectations check test unit bench lint fix clean setup packages

check: setup
	$(BIN)/seatrial check $(ARGS)

test: OPTIONAL := $(ENGINES)
test: setup
	$(BIN)/python -X dev -m pytest -n 2 --dist loadfile --durations 25 $(ARGS)

unit: setup
	$(BIN)/python -X dev -m pytest tests/unit $(ARGS)

bench: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group bench || echo "no virtme-ng: it is left out" >&2
	$(BIN)/python tests/benchmarks/bench.py $(ARGS)

# What the distribution's runtimes are known to get wrong; new entries want their reasons and links (docs/gating.md).
expectations: setup
	for profile in spec runc-compat; do \
		$(BIN)/seatrial check --runtime "$$(command -v runc)" --profile $$profile --write-expect $(EXPECTATIONS)/runc-1.1.toml $(ARGS) && \
		$(BIN)/seatrial check --runtime "$$(command -v crun)" --profile $$profile --write-expect $(EXPECTATIONS)/crun-1.8.toml $(ARGS) \
		|| exit; done

lint: setup
	$(BIN)/tox -e lint,type

fix: setup
	$(BIN)/ruff check --fix .

setup: packages $(VENV)/.installed

packages:
	@PACKAGES="$(PACKAGES)" OPTIONAL="$(OPTIONAL)" sh .ci/packages

$(VENV)/.installed: $(SETUP) $(NATIVE)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group fuzz || echo "no atheris: tests with it are skipped" >&2
	touch $@

clean:
	rm -rf $(VENV) .tox build dist native/bin native/build native/*.so seatrial-evidence seatrial-results seatrial-fuzz
	rm -rf *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
