#!/usr/bin/env bash
# Fetches what the Flink test and benchmark run on: Beam's Flink job server, and Flink itself, as parts by Maven.
#
#   scripts/flink.sh          # into build/flink; safe to run again
#
# Needs Java 11 or newer and Maven, and installs them where apt and root are at hand. Ends with 0 when all is there, and with 3 when something it needs is not to be had:
# build/flink/missing then says what, and the test is skipped with that reason.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The newest pair that the registry has in full. The job server speaks the protocol of every later Beam for Python.
FLINK_VERSION=1.19 BEAM_VERSION=2.62.0
FOLDER=$PWD/build/flink

say() { printf '[flink] %s\n' "$*" >&2; }
miss() { say "$*"; printf '%s\n' "$*" >"$FOLDER/missing"; exit 3; }

mkdir -p "$FOLDER"
rm -f "$FOLDER/missing"
if [ -f "$FOLDER/job-server.jar" ]; then exit 0; fi

if ! { command -v java && command -v mvn; } >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
  say "installing Java and Maven"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends default-jre-headless maven; } >/dev/null 2>&1 || true
fi
command -v java >/dev/null || miss "no Java on this machine (apt-get install default-jre-headless)"
command -v mvn >/dev/null || miss "no Maven on this machine (apt-get install maven)"

say "fetching Beam $BEAM_VERSION's job server and Flink $FLINK_VERSION (150 MB)"
cat >"$FOLDER/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tintype</groupId><artifactId>flink</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.beam</groupId><artifactId>beam-runners-flink-$FLINK_VERSION</artifactId>
      <version>$BEAM_VERSION</version>
    </dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.30</version></dependency>
  </dependencies>
</project>
POM
rm -rf "$FOLDER/lib"
mvn -q -B -f "$FOLDER/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
  -DincludeScope=runtime -DoutputDirectory="$FOLDER/lib" >"$FOLDER/maven.log" 2>&1 ||
  miss "Maven could not fetch the job server (build/flink/maven.log)"
# An archive that only names the others, because the runner starts its job server by `java -jar`.
.venv/bin/python - "$FOLDER" <<'PYTHON'
import pathlib, sys, textwrap, zipfile

folder = pathlib.Path(sys.argv[1])
jars = " ".join(f"lib/{jar.name}" for jar in sorted((folder / "lib").glob("*.jar")))
# Lines of a manifest have 72 bytes at most and go on after a space.
class_path = "\n ".join(textwrap.wrap(f"Class-Path: {jars}", 70, break_on_hyphens=False, drop_whitespace=False))
main = "Main-Class: org.apache.beam.runners.flink.FlinkJobServerDriver"
with zipfile.ZipFile(folder / "job-server.part", "w") as archive:
    archive.writestr("META-INF/MANIFEST.MF", f"Manifest-Version: 1.0\n{main}\n{class_path}\n\n")
(folder / "job-server.part").rename(folder / "job-server.jar")
PYTHON
say "ready: build/flink"
