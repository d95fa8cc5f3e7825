#!/usr/bin/env bash
# The generator that comes along, from nothing: its five trainings, each with the code and the config of its day, and each going on from what those before it made.
#
#   scripts/reproduce_generator.sh scenes_train.zip build/reproduced      # given again, it goes on where it was
#
# Some six hours on two cores. Needs the whole history of the repository. Words after the two are added to each training's command, as in --set train.steps=100.
# The model card (serving/model/MODEL_CARD.md) says what each training gave.
set -euo pipefail
if [ $# -lt 2 ]; then
  sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
data=$(realpath -e "$1") out=$(realpath -m "$2")
shift 2
more=("$@")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/bootstrap.sh

say() { printf '[reproduce] %s\n' "$*" >&2; }

# COMMIT WORD...: the command line of that commit, with the packages of now.
at() {
  local code=$out/code/$1 python=$PWD/.venv/bin/python
  if [ ! -d "$code" ]; then
    git cat-file -e "$1^{commit}" 2>/dev/null || { say "commit $1 is not in this clone: git fetch --unshallow"; exit 1; }
    rm -rf "$code.part" && mkdir -p "$code.part"
    git archive "$1" | tar -x -C "$code.part"
    mv "$code.part" "$code"
  fi
  shift
  (cd "$code" && PYTHONPATH=$code "$python" -m tintype.cli "$@" --data "$data" "${more[@]}")
}

# The version that training N pushed; nothing when there is none.
pushed() { find "$out/$1/serving/colorizer" -mindepth 1 -maxdepth 1 -name '[0-9]*' 2>/dev/null | sort -V | tail -n 1; }

# N COMMIT FROM WORD...: a training through the pipeline, unless it was made before.
through_the_pipeline() {
  local number=$1 commit=$2 from=$3
  shift 3
  if [ -n "$(pushed "$number")" ]; then return; fi
  say "training $number of 5"
  at "$commit" run --config tintype_lab_tuned --out "$out/$number" --set train.initial_generator="$from" "$@"
  [ -n "$(pushed "$number")" ] || { say "training $number was not pushed: its table above says why"; exit 1; }
}

if [ ! -d "$out/1/model" ]; then
  say "training 1 of 5"
  at 72deba6 train --config tintype_lab --out "$out/1" --set train.max_minutes=30
fi
through_the_pipeline 2 61aa53e "$out/1/model"
through_the_pipeline 3 934c7d0 "$(pushed 2)" --set train.max_minutes=97 --set train.steps=6500
through_the_pipeline 4 6af1129 "$(pushed 3)" --set train.max_minutes=102 --set train.steps=9000
through_the_pipeline 5 5907d4a "[$(pushed 3),$(pushed 4)]" --set train.max_minutes=26 --set train.steps=4000
.venv/bin/tintype pack --model "$(pushed 5)" -o "$out/colorizer.zip"
say "$out/colorizer.zip"
