#!/usr/bin/env bash
# bash data/ablations/acceptance.sh      (after make setup; run again after any interruption)
#
# Clean against damaged data, two seeds each, on the demo's held-out word problems. All of it is made here: the model out
# of a package of the lock, the rows from a seed. The damaged arms must rank below the clean one. docs/ablations.md says
# what two CPU cores took; SEEDS=0 TOKENS=200 LIMIT=4 ENGINE=hf runs all of it small, to see that it works.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
command -v "$python" > /dev/null || { echo "error: $python is not there; run make setup first." >&2; exit 2; }
here=data/ablations
arms=("$here"/{clean,wrong,no-eos,unboxed}.yaml)
for file in "${arms[@]}" "$here"/{config.yaml,no_eos.py,unboxed-rows.yaml}; do
  [ -f "$file" ] || { echo "error: $file is not there; git checkout $file brings it back." >&2; exit 2; }
done
"$python" -m data demo
# shellcheck disable=SC2086  # seeds are several words
"$python" -m data ablate "${arms[@]}" --config $here/config.yaml --seeds ${SEEDS:-0 1} --budget "tokens=${TOKENS:-8500}" \
  --benchmark synthetic-test --benchmarks-dir data/built/demo --max-tokens 96 --score-together \
  ${LIMIT:+--limit "$LIMIT"} ${ENGINE:+--engine "$ENGINE"}
