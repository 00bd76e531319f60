# The commands of this repository.  Each installs what it needs first, on a Debian machine with root rights.

PYTHON = .venv/bin/python
SOAK_SECONDS = 600
FUZZ_SECONDS = 0
CHAOS_SECONDS = 600
# Tests that start nothing but themselves: as many at a time as there are processors.
ALONE = tests/unit tests/hostile
# Tests in virtual machines, each of which wants all processors: one after another.
MACHINES = tests/system
# All others start compositors and applications: as many files at a time as there are processors, in their order.

.PHONY: demo test lint bench soak chaos fences fuzz wine desktops image clean

# Windows of a VM on this desktop, or on a headless compositor that is photographed: build/demo/
demo:
	@start=$$(date +%s) && tools/prepare.sh run && \
	exec .venv/bin/crossdomain vm demo --output build/demo --setup-seconds $$(($$(date +%s) - start))

# Everything that CI checks.
test: lint
	$(PYTHON) -m crossdomain.cli vm image
	$(PYTHON) -m tests.fakes.debian
	$(PYTHON) -m tests.fakes.forky
	$(PYTHON) -m tests.fakes.older_kernel
	$(PYTHON) -m pytest --numprocesses auto $(ALONE)
	$(PYTHON) -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder \
		$(foreach folder,$(ALONE) $(MACHINES),--ignore $(folder))
	$(PYTHON) -m pytest $(MACHINES)

lint:
	@tools/prepare.sh test
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy crossdomain launcher protocols tests
	$(PYTHON) -m pyright

# A table, and build/bench.json
bench:
	@tools/prepare.sh test
	$(PYTHON) -m tests.bench

# A mix of clients for SOAK_SECONDS, and whether launcher or daemon grew meanwhile: exit status 2 then.  And two hundred
# launchers in a VM, after which nothing is left.
soak:
	@tools/prepare.sh test
	$(PYTHON) -m tests.soak --seconds $(SOAK_SECONDS)
	$(PYTHON) -m pytest tests/system/test_many.py --starts 200

# kill -9 for compositor, daemon, workers, VMs, launchers, Xwayland and clients at random moments for CHAOS_SECONDS,
# and for as long for QEMU and in its guest; whether anybody else notices: exit status 1 then.
chaos:
	@tools/prepare.sh test
	$(PYTHON) -m tests.chaos --seconds $(CHAOS_SECONDS)
	$(PYTHON) -m tests.chaos.machines --seconds $(CHAOS_SECONDS)

# Fences of a compositor that has explicit synchronization, a sway 1.12 inside a VM: a part of `make test`.
fences:
	@tools/prepare.sh test
	$(PYTHON) -m pytest tests/system/test_sway_fences.py

# Whatever a guest, a VMM or a launcher can say: ten million times for each target, going on where the last run ended
# (build/fuzz), or FUZZ_SECONDS.  Exit status 1 where something was found.
fuzz:
	@tools/prepare.sh test
	$(PYTHON) -m tests.fuzz --seconds $(FUZZ_SECONDS)

# Wine's notepad, as an X11 application: some 700 MB of packages, and as much again for a while.
wine:
	@tools/prepare.sh wine
	$(PYTHON) -m pytest tests/scenario/x11/wine.py

# Windows on KWin and on GNOME Shell, out of a Debian root of 1.2 GB.
desktops:
	@tools/prepare.sh test
	$(PYTHON) -m pytest tests/scenario/desktops.py

# The Debian root that VMs boot from; made on first use otherwise.
image:
	@tools/prepare.sh run
	.venv/bin/crossdomain vm image

# Images stay: `crossdomain vm image --remove` removes them.
clean:
	rm -rf build dist .venv *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find crossdomain launcher protocols tests -name __pycache__ -prune -exec rm -rf {} +
	rm -f crossdomain/native/*.so crossdomain/native/*.o crossdomain/native/_core.c
