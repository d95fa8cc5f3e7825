#!/usr/bin/env bash
# Runs TensorFlow Serving's own end-to-end tests against `tintype serve`: tensorflow_model_server_test.py, as it stands in
# a checkout of TensorFlow Serving, with that checkout's models. Only the binary that it starts is ours.
#
#     scripts/tfserving_tests.sh PATH_TO_SERVING_CHECKOUT [TEST ...]
#
# Four of its tests are left out, because `tintype serve` has neither TensorFlow Lite, nor the profiler's service, nor
# TensorFlow Text. It ends with a line such as `26 of 26 passed`, and with exit code 1 where a test failed.
# It needs the extras `server` and `test`, and the socket /tmp/tf-serving.sock, which those tests use.
set -euo pipefail
checkout=$(realpath "${1:?usage: $0 PATH_TO_SERVING_CHECKOUT [TEST ...]}")
shift
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tests=$checkout/tensorflow_serving/model_servers/tensorflow_model_server_test.py
[[ -f $tests ]] || { echo "$tests is not there: is this a checkout of TensorFlow Serving?" >&2; exit 2; }
python=$PWD/.venv/bin/python
[[ -x $python ]] || python=$(command -v python)

left_out='testPredictOnTfLite|testPredictWithSignatureDefOnTfLite|test_profiler_service_with_valid_trace_request|test_tf_text'
if [[ $# -eq 0 ]]; then
    # The one that divides the processor into devices comes first: TensorFlow allows it only before anything else.
    mapfile -t names < <(sed -n 's/^  def \(test[A-Za-z0-9_]*\)(self).*/\1/p' "$tests" | grep -vxE "$left_out" \
        | awk '/distrat/ {print; next} {rest = rest $0 "\n"} END {printf "%s", rest}')
else
    names=("$@")
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Where the tests look for the binary and for the models.
sources=$folder/tf_serving/tensorflow_serving
mkdir -p "$sources/model_servers" "$folder/tmp"
ln -s "$checkout/tensorflow_serving/servables" "$sources/servables"
printf '#!/bin/sh\nexec "%s" -m tintype.cli serve "$@"\n' "$python" > "$sources/model_servers/tensorflow_model_server"
chmod +x "$sources/model_servers/tensorflow_model_server"

# Those tests name the inputs of their Keras models as Keras 2 does.
export TF_USE_LEGACY_KERAS=1
export TEST_SRCDIR=$folder TEST_TMPDIR=$folder/tmp PYTHONPATH=$PWD TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-2}
failed=0
"$python" - "$checkout" "$tests" "${names[@]/#/TensorflowModelServerTest.}" > "$folder/log" 2>&1 <<'PYTHON' || failed=1
import runpy
import sys

import tensorflow_serving

# The package from the index has the messages, the checkout has the tests.
checkout, tests, *names = sys.argv[1:]
tensorflow_serving.__path__.append(f"{checkout}/tensorflow_serving")
sys.argv = [tests, *names]
runpy.run_path(tests, run_name="__main__")
PYTHON
if [[ $failed -ne 0 ]]; then cat "$folder/log" >&2; fi
passed=$(grep -c '^\[       OK \]' "$folder/log" || true)
echo "$passed of ${#names[@]} passed"
exit "$failed"
