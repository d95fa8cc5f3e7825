#!/usr/bin/env bash
# The generator that comes along, from nothing: a training by itself, and a second one through the whole pipeline that goes on from it, is validated, judged, blessed and pushed.
#
#   scripts/reproduce_generator.sh scenes_train.zip everyday_train.zip build/reproduced      # given again, it goes on where it was
#
# Two hours on two cores. Words after the three are added to each training's command, as in --set train.max_minutes=1.
# The model card (serving/model/MODEL_CARD.md) says what each training gave.
set -euo pipefail
if [ $# -lt 3 ]; then
  sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
scenes=$(realpath -e "$1") everyday=$(realpath -e "$2") out=$(realpath -m "$3")
shift 3
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/bootstrap.sh

say() { printf '[reproduce] %s\n' "$*" >&2; }

# Half of what is seen are scenes; of the everyday photographs, folders of few count more, and studio portraits less.
weights='{scenes_train: 0.61, portraits: 0.7, things: 0.8, food: 0.6, clothing: 0.8, everyday: 2, people: 3, streets: 2, rooms: 2, animals_vehicles: 1.2}'
common=(--config tintype_pretrained --data "$scenes" --data "$everyday" --set "data.weights=$weights")

if [ ! -d "$out/1/model" ]; then
  say "training 1 of 2"
  .venv/bin/tintype train "${common[@]}" --out "$out/1" --set train.max_minutes=84 "$@"
fi

# The version that the second training pushed; nothing when there is none.
pushed() { find "$out/2/serving/colorizer" -mindepth 1 -maxdepth 1 -name '[0-9]*' 2>/dev/null | sort -V | tail -n 1; }

if [ -z "$(pushed)" ]; then
  say "training 2 of 2"
  .venv/bin/tintype run "${common[@]}" --out "$out/2" --set train.initial_generator="$out/1/model" "$@"
  [ -n "$(pushed)" ] || { say "it was not pushed: the table above says why"; exit 1; }
fi
.venv/bin/tintype pack --model "$(pushed)" -o "$out/colorizer.zip"
say "$out/colorizer.zip"
