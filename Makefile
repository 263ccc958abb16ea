# Two commands on a fresh machine: `make demo` shows the main job, `make test` proves it.
PYTHON := .venv/bin/python
# Two lanes beside each other; a file stays in one, for the servers that its tests share. What ends a lane ends the run.
LANES := -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart=0

.PHONY: demo test test-slow test-device check benchmarks clean

demo: .make/demo
	@$(PYTHON) -m examples.digits.demo $(ARGS)

test: .make/test
	@scripts/check
	@$(PYTHON) -m pytest $(LANES) --durations=25 $(ARGS)

test-slow: .make/test
	@$(PYTHON) -m pytest -m slow $(ARGS)

# On an emulated 64-bit Arm, as root, Linux 6.7 or later; the first run makes trees of 750 MB in ~/.cache/fieldfare-tests.
test-device: .make/device
	@$(PYTHON) -m pytest -m device tests/device $(ARGS)

check: .make/test
	@scripts/check

benchmarks: .make/test
	@for program in startup footprint switch serving compiler delta delivery ingest waves api fleet; do $(PYTHON) -m benchmarks.$$program || exit 1; done

.make/demo .make/test .make/device: pyproject.toml scripts/setup
	@scripts/setup $(@F)
	@mkdir -p .make && touch $@

clean:
	rm -rf .venv .make build *.egg-info demo-data
