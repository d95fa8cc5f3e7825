#!/usr/bin/env bash
# Fetches what the Flink test and benchmark run on: Beam's Flink job server (Maven) and the Flink distribution (pip).
#
#   scripts/flink.sh          # into build/flink; safe to run again
#
# Needs Java 11 or newer and Maven. Ends with 0 when all is there, and with 3 when something it needs is not to be had:
# build/flink/missing then says what, and the test is skipped with that reason.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

FLINK_VERSION=1.20 # of those that the job server of this Beam is published for: 1.19, 1.20, 2.0, 2.1, 2.2
FOLDER=$PWD/build/flink

say() { printf '[flink] %s\n' "$*" >&2; }
miss() { say "$*"; mkdir -p "$FOLDER"; printf '%s\n' "$*" >"$FOLDER/missing"; exit 3; }

mkdir -p "$FOLDER"
rm -f "$FOLDER/missing"
if [ -f "$FOLDER/job-server.jar" ] && [ -f "$FOLDER/lib/flink-dist.jar" ]; then exit 0; fi

command -v java >/dev/null || miss "no Java on this machine (apt-get install default-jre-headless)"
command -v mvn >/dev/null || miss "no Maven on this machine (apt-get install maven)"

if [ ! -f "$FOLDER/job-server.jar" ]; then
  beam=$(.venv/bin/python -c 'import importlib.metadata as m; print(m.version("apache-beam"))')
  artifact=org.apache.beam:beam-runners-flink-$FLINK_VERSION-job-server:$beam
  say "fetching $artifact"
  mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy -Dartifact="$artifact" \
    -DoutputDirectory="$FOLDER/jar" >"$FOLDER/maven.log" 2>&1 ||
    miss "Maven has no $artifact, or could not be reached (build/flink/maven.log)"
  mv "$FOLDER"/jar/*.jar "$FOLDER/job-server.jar"
  rm -rf "$FOLDER/jar"
fi

if [ ! -f "$FOLDER/lib/flink-dist.jar" ]; then
  say "fetching Flink $FLINK_VERSION (apache-flink-libraries)"
  rm -rf "$FOLDER/pip" "$FOLDER/lib" "$FOLDER/lib.part"
  .venv/bin/pip download -q --no-deps --no-binary :all: --no-build-isolation -d "$FOLDER/pip" \
    "apache-flink-libraries==$FLINK_VERSION.*" >"$FOLDER/pip.log" 2>&1 ||
    miss "pip has no apache-flink-libraries $FLINK_VERSION, or could not be reached (build/flink/pip.log)"
  mkdir "$FOLDER/lib.part"
  tar -xzf "$FOLDER"/pip/*.tar.gz -C "$FOLDER/lib.part" --strip-components=3 --wildcards '*/deps/lib/*.jar'
  mv "$FOLDER"/lib.part/flink-dist-*.jar "$FOLDER/lib.part/flink-dist.jar"
  mv "$FOLDER/lib.part" "$FOLDER/lib"
  rm -rf "$FOLDER/pip"
fi
say "ready: build/flink"
