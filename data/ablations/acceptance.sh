#!/usr/bin/env bash
# bash data/ablations/acceptance.sh      (after make setup; run again after any interruption)
#
# Clean against damaged data on the demo's word problems, two seeds each; then two real sources on GSM8K's first problems.
# The damaged arms must rank below the clean one. Two cells run at a time, each on half of the cores, because starts and
# tokenising use one core only; two cells hold about 10 GB. docs/ablations.md says what it took.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=.venv/bin/python
here=data/ablations
halves="--ray --cpus $(( ($(nproc) + 1) / 2 ))"
$python -m data demo
$python -m data ablate $here/clean.yaml $here/wrong.yaml $here/no-eos.yaml $here/unboxed.yaml --seeds ${SEEDS:-0 1} $halves \
  --config $here/config.yaml --budget tokens=${TOKENS:-15000} --benchmark synthetic-test --benchmarks-dir data/built/demo --max-tokens 96
$python -m data ablate $here/gsm8k.yaml $here/math.yaml --seeds ${REAL_SEEDS:-0} $halves --config $here/config.yaml \
  --budget tokens=${REAL_TOKENS:-16000} --benchmark gsm8k-test --benchmarks-dir "${BENCH_DIR:-../shared/data/benchmarks}" --limit 100 \
  --max-tokens 256
