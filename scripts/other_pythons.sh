#!/usr/bin/env bash
# Runs the tests of photo, client, server and web on the other Pythons that these parts support, where they are found.
#
#   scripts/other_pythons.sh                 # every version below that this machine has
#   scripts/other_pythons.sh 3.13            # one of them
#
# Each gets an environment of its own, build/python3.NN, from requirements/serving.lock. It is used again next time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

LOCK=requirements/serving.lock
TESTS=(tests/photo tests/serving/client tests/serving/server tests/serving/web)

say() { printf '[pythons] %s\n' "$*" >&2; }

# The newest interpreter of a version: on the path, or one that pyenv keeps.
find_python() {
  local candidate
  for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
    command -v "$candidate" >/dev/null 2>&1 || continue
    if "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  return 1
}

make_environment() { # PYTHON FOLDER
  local stamp
  stamp=$(cat "$LOCK" <(echo "$1") | sha256sum | cut -d' ' -f1)
  if [ "$(cat "$2/.complete" 2>/dev/null)" = "$stamp" ]; then return; fi
  rm -rf "$2"
  .venv/bin/uv venv -q --python "$1" "$2"
  .venv/bin/uv pip install -q --python "$2/bin/python" --require-hashes -r "$LOCK"
  echo "$stamp" >"$2/.complete"
}

if [ $# -eq 0 ]; then set -- 3.12 3.13; fi
missing=()
for version in "$@"; do
  if ! python=$(find_python "$version"); then
    missing+=("$version")
    continue
  fi
  environment=$PWD/build/python$version
  say "Python $version: $python"
  make_environment "$python" "$environment"
  PYTHONPATH=$PWD "$environment/bin/python" -m pytest -q -n 2 --dist loadfile -p no:cacheprovider "${TESTS[@]}"
done
[ ${#missing[@]} -eq 0 ] || say "not tested, because this machine does not have them: Python ${missing[*]}"
