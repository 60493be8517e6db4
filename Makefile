# The front door. Bare `make` prints the list of targets; each one sets up .venv first when that is needed.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo preflight train eval watch report compare regrade data ablate submission rehearse verify parity test lint format bench lock

PYTHON_BIN := .venv/bin/python
CORES := $(shell nproc)
# GPUs that are there, or as many of them as CUDA_VISIBLE_DEVICES names.
comma := ,
SEEN := $(words $(shell nvidia-smi -L 2>/dev/null | grep -o '^GPU'))
GPUS := $(if $(filter undefined,$(origin CUDA_VISIBLE_DEVICES)),$(SEEN),$(words \
	$(wordlist 1,$(SEEN),$(subst $(comma), ,$(CUDA_VISIBLE_DEVICES)))))

# Training processes: one a GPU. On CPU one process with all cores is a quarter faster than one a core (docs/log.md).
PROCESSES ?= $(if $(filter-out 0,$(GPUS)),$(GPUS),1)
CONFIG ?= sft_config.yaml
ALLOWED = $(foreach check,$(ALLOW),--allow $(check))

# Without a GPU: DeepSpeed must be told so, and `accelerate launch --cpu` would silently drop it. The MALLOC lines keep
# freed memory in the process, instead of mapping and zeroing every ZeRO-3 buffer anew at each step.
CPU_SWITCHES := DS_ACCELERATOR=cpu OMP_NUM_THREADS=$$(( $(CORES) / $(PROCESSES) > 0 ? $(CORES) / $(PROCESSES) : 1 )) \
	MALLOC_ARENA_MAX=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000
LAUNCH = $(if $(filter-out 0,$(GPUS)),,$(CPU_SWITCHES)) .venv/bin/python launch.py --config_file=deepspeed_zero3.yaml \
	--num_processes $(PROCESSES) sft.py

# A variable as one word of the shell, letter for letter: paths may hold spaces, quotes and dollars.
quoted = '$(subst ','\'',$(value $(1)))'

BENCH ?= math500
MAX_TOKENS ?= 2048
EVAL_OPTIONS = --benchmark $(call quoted,BENCH) --max-tokens $(MAX_TOKENS) \
	$(if $(value BENCH_DIR),--benchmarks-dir $(call quoted,BENCH_DIR)) \
	$(if $(LIMIT),--limit $(LIMIT)) $(if $(ENGINE),--engine $(ENGINE)) $(if $(SKIP_BROKEN),--skip-broken)
# How to ask and sample: for one model, where an ablation asks all of its arms alike (and has SEEDS of its own, of training).
ASKING = $(if $(SHOTS),--shots $(SHOTS)) $(if $(value SHOTS_FROM),--shots-from $(call quoted,SHOTS_FROM)) \
	$(if $(PROMPT),--prompt $(PROMPT)) $(if $(value SYSTEM),--system $(call quoted,SYSTEM)) \
	$(foreach argument,$(value TEMPLATE_ARGS),--template-arg $(call quoted,argument)) \
	$(if $(TEMPERATURE),--temperature $(TEMPERATURE)) $(if $(SEEDS),--seeds "$(SEEDS)")

SUBMITTED = $(if $(value MODEL),--model $(call quoted,MODEL)) $(if $(value DATASET),--dataset $(call quoted,DATASET)) $(if $(value ACCURACY),--accuracy $(call quoted,ACCURACY)) \
	$(if $(value BENCH_DIR),--benchmarks-dir $(call quoted,BENCH_DIR))
ZIP ?= submission.zip

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## .venv from the lock (requirements/cpu.lock, or gpu.lock where a GPU is seen)
	@bash requirements/setup.sh

demo: setup ## the main job on any machine: train SmolLM2-135M on word problems, score every checkpoint, report
	@$(PYTHON_BIN) -m data demo
	@inputs=$$(cat demo_config.yaml deepspeed_zero3.yaml sft.py sft_utils.py training/*.py requirements/*.lock data/built/demo/*.jsonl | sha256sum); \
	if [ "$$(cat checkpoints/demo/trained.sha256 2>/dev/null)" = "$$inputs" ]; then echo "checkpoints/demo: up to date"; else \
	  $(PYTHON_BIN) -m training.lock checkpoints/demo; rm -rf checkpoints/demo; $(LAUNCH) demo_config.yaml; echo "$$inputs" > checkpoints/demo/trained.sha256; fi
	@$(PYTHON_BIN) -m eval run models/smollm2-135m checkpoints/demo --benchmark synthetic-test --benchmarks-dir data/built/demo --max-tokens 96
	@echo "open reports/index.html"

preflight: setup ## check the config and the data before training: lengths, EOS, boundary, boxes, duplicates, schedule, disk; ALLOW="name …"
	@$(LAUNCH) $(call quoted,CONFIG) --preflight $(ALLOWED)

train: setup ## train by sft_config.yaml; CONFIG=… PROCESSES=… (default: one per GPU) RESUME=1 ALLOW="name …"; Ctrl-C stops it
	@$(LAUNCH) $(call quoted,CONFIG) $(if $(RESUME),--resume) $(ALLOWED)

eval: setup ## score CKPT=… (a checkpoint, a run or a hub id); BENCH=a,b BENCH_DIR=… LIMIT=… MAX_TOKENS=… ENGINE=hf SKIP_BROKEN=1 JSON=1 SHOTS=4 SHOTS_FROM=… PROMPT=tokenizer SYSTEM=… TEMPLATE_ARGS=… TEMPERATURE=… SEEDS="0 1 2"
	@test -n $(call quoted,CKPT) || { echo "error: CKPT is not set; make eval CKPT=checkpoints/<run>" >&2; exit 2; }
	@$(PYTHON_BIN) -m eval run $(call quoted,CKPT) $(EVAL_OPTIONS) $(ASKING) $(if $(JSON),--json)

watch: setup ## score the checkpoints of RUN=… while training writes them; takes what eval takes
	@test -n $(call quoted,RUN) || { echo "error: RUN is not set; make watch RUN=checkpoints/<run>" >&2; exit 2; }
	@$(PYTHON_BIN) -m eval watch $(call quoted,RUN) $(EVAL_OPTIONS) $(ASKING)

regrade: setup ## grade what is stored again under today's rules, without a model; shows what flips
	@$(PYTHON_BIN) -m eval regrade

report: setup ## rebuild reports/index.html from what is stored, and open it where there is a desktop
	@$(PYTHON_BIN) -m eval report --open

compare: setup ## A=… against B=… (checkpoints, runs, hub ids, labels or keys, evaluated before); BENCH=a,b JSON=1
	@test -n $(call quoted,A) -a -n $(call quoted,B) || { echo "error: A or B is not set; make compare A=checkpoints/<run> B=<model>" >&2; exit 2; }
	@$(PYTHON_BIN) -m eval compare $(call quoted,A) $(call quoted,B) $(if $(filter command environment,$(origin BENCH)),--benchmark $(call quoted,BENCH)) \
	  $(if $(JSON),--json)

data: setup ## build the data set of RECIPE=… (a YAML file, see data/recipes); BENCH_DIR=… SOURCES="name=path …" TOKENIZER=…
	@test -n $(call quoted,RECIPE) || { echo "error: RECIPE is not set; make data RECIPE=data/recipes/<name>.yaml" >&2; exit 2; }
	@$(PYTHON_BIN) -m data build $(call quoted,RECIPE) $(if $(value BENCH_DIR),--benchmarks-dir $(call quoted,BENCH_DIR)) $(foreach source,$(SOURCES),--source $(source)) \
	  $(if $(value TOKENIZER),--tokenizer $(call quoted,TOKENIZER)) $(if $(JSON),--json)

ablate: setup ## hold RECIPES="a b c" against each other: train and score each with SEEDS="0 1"; BUDGET=tokens=N LEAVE_ONE_OUT=1 TOGETHER=1
	@test -n $(call quoted,RECIPES) || { echo "error: RECIPES is not set; make ablate RECIPES=\"a b\" SEEDS=\"0 1\"" >&2; exit 2; }
	@$(PYTHON_BIN) -m data ablate $(RECIPES) --seeds $(or $(SEEDS),0) --config $(call quoted,CONFIG) --processes $(PROCESSES) $(EVAL_OPTIONS) \
	  $(if $(value CONTROL),--control $(call quoted,CONTROL)) $(if $(BUDGET),--budget $(BUDGET)) $(if $(LEAVE_ONE_OUT),--leave-one-out) \
	  $(if $(TOGETHER),--score-together) $(if $(JSON),--json)

submission: setup ## write and lint submission/ and its zip: what travels; CONFIG=… DATASET=… MODEL=hub-id ACCURACY=<checkpoint> BENCH_DIR=…
	@$(PYTHON_BIN) -m data submission --config $(call quoted,CONFIG) $(SUBMITTED)

rehearse: setup ## the same, trained for two steps on the contract's own versions first (.venv-stock, made on first use)
	@$(PYTHON_BIN) -m data submission --config $(call quoted,CONFIG) $(SUBMITTED) --rehearse

verify: setup ## unpack ZIP=submission.zip elsewhere, look at it and rehearse it as a stranger would
	@$(PYTHON_BIN) -m data submission verify $(call quoted,ZIP)

parity: setup ## the same batches through this project's ZeRO-3 run, a plain PyTorch loop and the contract's trainer: where they differ; CONFIG=… STEPS=20 LAUNCH_CONFIG=…
	@$(PYTHON_BIN) -m data demo
	@$(PYTHON_BIN) -m parity $(if $(filter command environment,$(origin CONFIG)),--config $(call quoted,CONFIG)) $(if $(STEPS),--steps $(STEPS)) \
	  $(if $(value LAUNCH_CONFIG),--launch-config $(call quoted,LAUNCH_CONFIG))

test: setup ## all tests, with one real run: ZeRO-3, two checkpoints, vLLM, graded report
	@$(PYTHON_BIN) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

lint: setup ## ruff, and mypy in strict mode
	@$(PYTHON_BIN) -m ruff check . && $(PYTHON_BIN) -m ruff format --check . && $(PYTHON_BIN) -m mypy

format: setup ## rewrite the code in the project's format
	@$(PYTHON_BIN) -m ruff check --fix . && $(PYTHON_BIN) -m ruff format .

bench: setup ## measure start, swap, decode against transformers, and the grader; prints ratios
	@$(PYTHON_BIN) -m bench

lock: ## resolve requirements/*.in into the locks (needs uv)
	@bash requirements/compile.sh
