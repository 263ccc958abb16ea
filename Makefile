# Two commands on a fresh machine: `make demo` shows the main job, `make test` proves it.
PYTHON := .venv/bin/python

.PHONY: demo test test-slow check benchmarks clean

demo: .make/demo
	@$(PYTHON) -m examples.digits.demo $(ARGS)

test: .make/test
	@scripts/check
	@$(PYTHON) -m pytest $(ARGS)

test-slow: .make/test
	@$(PYTHON) -m pytest -m slow $(ARGS)

check: .make/test
	@scripts/check

benchmarks: .make/test
	@for program in startup footprint switch serving compiler delta delivery api; do $(PYTHON) -m benchmarks.$$program || exit 1; done

.make/demo .make/test: pyproject.toml scripts/setup
	@scripts/setup $(@F)
	@mkdir -p .make && touch $@

clean:
	rm -rf .venv .make build *.egg-info demo-data
