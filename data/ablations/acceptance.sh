#!/usr/bin/env bash
# bash data/ablations/acceptance.sh      (after make setup; run again after any interruption)
#
# Clean against damaged data, two seeds each, then two real sources; all on the demo's held-out word problems. The damaged
# arms must rank below the clean one. For two CPU cores: docs/ablations.md says what it took.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=.venv/bin/python
here=data/ablations
scoring="--benchmark synthetic-test --benchmarks-dir data/built/demo --max-tokens 96 --score-together"
$python -m data demo
$python -m data ablate $here/clean.yaml $here/wrong.yaml $here/no-eos.yaml $here/unboxed.yaml --seeds ${SEEDS:-0 1} \
  --config $here/config.yaml --budget tokens=${TOKENS:-8500} $scoring
$python -m data ablate $here/gsm8k.yaml $here/math.yaml --seeds ${REAL_SEEDS:-0} \
  --config $here/config.yaml --budget tokens=${REAL_TOKENS:-9000} $scoring
