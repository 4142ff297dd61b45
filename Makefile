# `make demo` and `make test` need nothing but Debian (or a kin of it) with Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
STAMP := $(VENV)/installed
# Root installs Debian packages directly; everybody else through sudo.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: demo test lint bench lock pictures clean

demo: $(STAMP)
	$(RUN)/helmetwatch demo

# Files of tests run side by side in so many processes: most of them wait, for servers and clocks of their own, so that three keep two cores busy.
# JOBS=0 runs one after another.
JOBS ?= 3
test: $(STAMP) system lint
	$(RUN)/pytest -n $(JOBS) --dist loadfile

lint: $(STAMP)
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy

# The worker killed RUNS times, at every labelled point and at random: each run prints its ledger line, must lose nothing
# and alert everything; their sum is in bench/results/crash-runs.json. Then EXAMPLES messages of any bytes on any topic. `helmetwatch bench soak` is the hour under load.
RUNS ?= 200
EXAMPLES ?= 20000
.PHONY: soak
soak: $(STAMP) system
	RUNS=$(RUNS) SUMMARY=bench/results/crash-runs.json $(RUN)/pytest -x -s tests/nemesis/test_nemesis_crash.py
	EXAMPLES=$(EXAMPLES) $(RUN)/pytest -x tests/nemesis/test_nemesis_bytes.py
	$(RUN)/pytest -x -m hypothesis --hypothesis-profile search

bench: $(STAMP) system
	$(RUN)/helmetwatch bench

# Servers and the browser that the tests run for real, installed from Debian where they are missing.
.PHONY: system
system:
	@missing=""; \
	command -v mosquitto >/dev/null || missing="$$missing mosquitto"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v victoria-metrics >/dev/null || missing="$$missing victoria-metrics"; \
	command -v influxd >/dev/null || missing="$$missing influxdb"; \
	command -v promtool >/dev/null || missing="$$missing prometheus"; \
	command -v openssl >/dev/null || missing="$$missing openssl"; \
	command -v gcc >/dev/null || missing="$$missing gcc libc6-dev"; \
	fc-list 2>/dev/null | grep -qi wqy || missing="$$missing fontconfig fonts-wqy-zenhei"; \
	if [ -n "$$missing" ]; then \
		echo "installing from Debian:$$missing"; \
		$(SUDO) apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing; \
	fi

# The environment: exactly the packages of the lock file, checked by their hashes.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "installing python3-venv from Debian"; \
		$(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends python3-venv; }
	$(PYTHON) -m venv $(VENV)
	$(RUN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(RUN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# The screenshots of the documents.
pictures: $(STAMP) system
	$(RUN)/python docs/pictures/take.py

# After changing dependencies in pyproject.toml.
lock: $(STAMP)
	$(RUN)/uv pip compile --universal --python-version 3.11 --generate-hashes --group dev pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
