#!/usr/bin/env bash
# .venv-stock from stock.lock: the contract's own versions, where a submission is rehearsed. A second call does nothing.
# Of torch 2.1.2 the CPU build is looked for where pip is set up to look, then at PyTorch itself (0.2 GB); else PyPI's CUDA
# build is taken with the libraries that its import needs (2.4 GB to download, 3.3 GB on disk).
set -uo pipefail
cd "$(dirname "$0")/.."

PYTORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu
NEEDED_MIB=5000 # at its fullest, with the CUDA build
lock=requirements/stock.lock
log=setup-stock.log

fail() { printf 'error: %s\n' "$1" >&2; exit 1; }

digest=$(sha256sum "$lock" | cut -d' ' -f1)
[ "$(cat .venv-stock/lock.sha256 2>/dev/null)" != "$digest" ] || ! [ -x .venv-stock/bin/python ] || exit 0

# A version manager's `python3.10` may be there and yet refuse to run: each candidate is asked.
shopt -s nullglob
candidates=(python3.10 "$HOME"/.pyenv/versions/3.10.*/bin/python3.10 "$HOME"/.local/share/uv/python/cpython-3.10.*/bin/python3.10 /usr/bin/python3.10 /usr/local/bin/python3.10 python3)
[ -z "${STOCK_PYTHON:-}" ] || candidates=("$STOCK_PYTHON")
python=
for candidate in "${candidates[@]}"; do
  if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 10))' >/dev/null 2>&1; then python=$candidate; break; fi
done
[ -n "$python" ] || fail "no Python 3.10 (with venv) among ${candidates[*]}; the contract's versions have wheels for no other: install one, or name it: make rehearse STOCK_PYTHON=/path/to/python3.10."

free=$(df -Pm . | awk 'NR == 2 { print $4 }')
[ "$free" -ge "$NEEDED_MIB" ] || fail "$(pwd) has $free MiB free and .venv-stock needs up to $NEEDED_MIB; free some space, then run again."

echo "setting up .venv-stock with $("$python" --version) from $lock (once; the log is $log)" >&2
rm -rf .venv-stock
"$python" -m venv .venv-stock >"$log" 2>&1 || fail "$python cannot make .venv-stock: $(tail -n 1 "$log")."

# Bytecode is written on first use, for the tenth of it that is used.
install() {
  .venv-stock/bin/python -m pip install --no-deps --no-compile --no-cache-dir --disable-pip-version-check --no-input --progress-bar off "$@" 2>&1 |
    tee -a "$log" | awk -v total="$packages" '
      /^Collecting/ { if (++n % 10 == 0) { printf "  %d of %d packages\n", n, total; fflush() } }
      /^Installing collected/ { print "  unpacking"; fflush() }' >&2
}
torch=$(grep '^torch==' "$lock")
packages=$(grep -cE '^[a-z]' "$lock")
rest=$(mktemp)
trap 'rm -f "$rest"' EXIT
grep -E '^[a-z]' "$lock" | grep -vE '^(torch==|nvidia-)' >"$rest"
if install --retries 1 "$torch+cpu" || install --retries 1 --index-url "$PYTORCH_CPU_INDEX" "$torch+cpu"; then
  echo "  $torch: the CPU build" >&2
else
  echo "  $torch: no CPU build in reach, so PyPI's CUDA build (2.4 GB to download)" >&2
  grep -E '^(torch==|nvidia-)' "$lock" >>"$rest"
fi
if ! install -r "$rest"; then
  case "$(tail -n 60 "$log")" in
    *"No space left"*) fail "the disk is full: .venv-stock needs up to $NEEDED_MIB MiB; free some space, then run again." ;;
    *"name resolution"* | *"NewConnectionError"* | *"Connection refused"* | *"Network is unreachable"* | *"timed out"* | *"ProxyError"* | *"Max retries"*)
      fail "the package index cannot be reached; check the network or pip's settings, then run again ($log)." ;;
    *) fail "pip stopped: $(grep -E 'ERROR|error:' "$log" | tail -n 1); the whole story is in $log." ;;
  esac
fi
# The kernels of cuDNN (0.9 GB) are opened by the first convolution on a GPU, which there is none.
rm -f .venv-stock/lib/python3.10/site-packages/nvidia/cudnn/lib/libcudnn_*
said=$(.venv-stock/bin/python -c 'import accelerate, datasets, torch; from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast; from trl import SFTTrainer' 2>&1) || fail "the stock versions cannot be imported: $(tail -n 1 <<<"$said")."
echo "$digest" >.venv-stock/lock.sha256
echo "  done in $SECONDS s, $(du -sh .venv-stock | cut -f1)" >&2
