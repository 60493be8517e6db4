#!/usr/bin/env bash
# make setup: .venv from the lock, without a resolver. A second call with the same lock does nothing.
set -uo pipefail
cd "$(dirname "$0")/.."

PYTORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu
NEEDED_MIB=7000 # what .venv takes with its downloads; the GPU lock is larger, and says so itself when it does not fit

fail() { printf 'error: %s\n' "$1" >&2; exit 1; }

lock=requirements/cpu.lock
if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q GPU; then lock=requirements/gpu.lock; fi
digest=$(sha256sum "$lock" | cut -d' ' -f1)
stamp=$(cat .venv/lock.sha256 2>/dev/null)
if [ -x .venv/bin/python ] && [ -n "$stamp" ]; then
  [ "$stamp" != "$digest" ] || exit 0
  # A GPU that comes or goes (a login node, a busy driver) is no reason to throw a whole environment away.
  for other in requirements/*.lock; do
    [ "$stamp" != "$(sha256sum "$other" | cut -d' ' -f1)" ] || {
      echo "note: .venv was made from $other, though $lock fits what is seen here now; remove .venv to change over." >&2; exit 0; }
  done
fi

# The locks are made for 3.11; later ones work where every pinned package has a wheel for them.
python=
for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
  if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then python=$candidate; break; fi
done
[ -n "$python" ] || fail "no Python 3.11 or newer (with venv) among ${PYTHON:-python3.11 python3.12 python3.13 python3}; install one, or name it: make setup PYTHON=/path/to/python3.11."

free=$(df -Pm . | awk 'NR == 2 { print $4 }')
[ "$free" -ge "$NEEDED_MIB" ] || fail "$(pwd) has $free MiB free and .venv needs about $NEEDED_MIB; free some space, then make setup again."

packages=$(grep -c '^[a-z]' "$lock")
echo "setting up .venv with $($python --version) from $lock ($packages packages; the log is setup.log)"
rm -rf .venv
"$python" -m venv .venv >setup.log 2>&1 || fail "$python cannot make .venv: $(tail -n 1 setup.log); on Debian install python3-venv."

install() {
  DS_BUILD_OPS=0 .venv/bin/python -m pip install --no-deps --disable-pip-version-check --no-input --progress-bar off "$@" 2>&1 |
    tee -a setup.log | awk -v total="$packages" -v terminal="$([ -t 1 ] && echo 1)" -v start="$(date +%s)" '
      /^Collecting/ { n++; "date +%s" | getline now; close("date +%s"); gone = now - start
        if (terminal) printf "\r  %d/%d packages, %d s gone, about %d s left to download ", n, total, gone, gone * (total - n) / n
        else if (n % 50 == 0) printf "  %d/%d packages, %d s gone\n", n, total, gone; fflush() }
      /^Installing collected/ { if (terminal) printf "\r%60s\r", ""; print "  unpacking"; fflush() }'
}

# PyPI carries no CPU build of this torch. It is looked for where pip is set up to look, then at PyTorch itself.
if grep -q '^torch==.*+cpu' "$lock"; then
  torch=$(grep -o '^torch==[^ ;]*' "$lock")
  install "$torch" >/dev/null || install --index-url "$PYTORCH_CPU_INDEX" "$torch" >/dev/null || true
  .venv/bin/python -m pip show --quiet torch >/dev/null 2>&1 || fail "$torch (the CPU build) was found neither in pip's index nor at $PYTORCH_CPU_INDEX; check the network, or point pip at a copy: PIP_FIND_LINKS=DIR make setup (setup.log)."
fi

if ! install -r "$lock"; then
  reason=$(grep -E 'ERROR|error:' setup.log | tail -n 1)
  case "$(tail -n 60 setup.log)" in
    *"No space left"*) fail "the disk is full: .venv needs about $NEEDED_MIB MiB; free some space, then make setup again." ;;
    *"name resolution"* | *"NewConnectionError"* | *"Connection refused"* | *"Network is unreachable"* | *"timed out"*)
      fail "the package index cannot be reached; check the network or pip's settings, then make setup again (setup.log)." ;;
    *) fail "pip stopped: ${reason:-see the end of setup.log}; the whole story is in setup.log." ;;
  esac
fi
echo "$digest" >.venv/lock.sha256
echo "done in $SECONDS s"
