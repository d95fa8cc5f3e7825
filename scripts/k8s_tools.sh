#!/usr/bin/env bash
# Fetches what the tests of k8s/ need beside Python: kustomize where kubectl is missing, promtool, and the schemas of the
# operators' objects, from the packages of the operators themselves.
#
#   scripts/k8s_tools.sh          # into build/tools and build/k8s-schemas; safe to run again
#
# Needs Go, and Java with Maven, and installs the latter where apt and root are at hand. Ends with 0 when all is there, and
# with 3 when something it needs is not to be had: build/k8s-schemas/missing then says what, and those tests are skipped
# with that reason.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

KUSTOMIZE_VERSION=v5.5.0 # what kubectl 1.32 has built in
PROMETHEUS_OPERATOR_VERSION=v0.85.0
CERT_MANAGER_VERSION=v1.19.1
GATEWAY_API_VERSION=v1.5.0
FLINK_OPERATOR_VERSION=1.10.0
TOOLS=$PWD/build/tools SCHEMAS=$PWD/build/k8s-schemas

say() { printf '[k8s] %s\n' "$*" >&2; }
miss() { say "$*"; printf '%s\n' "$*" >"$SCHEMAS/missing"; exit 3; }

mkdir -p "$TOOLS" "$SCHEMAS"
rm -f "$SCHEMAS/missing"

need_go() { command -v go >/dev/null || miss "no Go on this machine (apt-get install golang-go)"; }

# The folder of a Go module, fetched if need be.
go_module() {
  (cd "$TOOLS" && go mod download -json "$1") | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p'
}

# A file appears whole or not at all.
keep() {
  cp "$1" "$SCHEMAS/$2.part" && chmod u+w "$SCHEMAS/$2.part" && mv "$SCHEMAS/$2.part" "$SCHEMAS/$2"
}

# WHOSE MODULE PREFIX KIND...: schemas out of a Go module, unless the last one is there.
schemas_of() {
  local whose=$1 module=$2 prefix=$3 folder kind
  shift 3
  if [ -f "$SCHEMAS/${!#}.yaml" ]; then return; fi
  need_go
  say "fetching $whose schemas"
  folder=$(go_module "$module") && [ -n "$folder" ] || miss "$whose module could not be fetched"
  for kind; do keep "$folder/$prefix$kind.yaml" "$kind.yaml"; done
}

if ! kubectl kustomize --help >/dev/null 2>&1 && ! command -v kustomize >/dev/null && [ ! -x "$TOOLS/kustomize" ]; then
  need_go
  say "building kustomize $KUSTOMIZE_VERSION"
  GOBIN=$TOOLS go install "sigs.k8s.io/kustomize/kustomize/v5@$KUSTOMIZE_VERSION" || miss "kustomize could not be built"
fi

if ! command -v promtool >/dev/null && [ ! -x "$TOOLS/promtool" ]; then
  command -v apt-get >/dev/null || miss "no promtool on this machine (it comes with Prometheus)"
  say "fetching promtool"
  folder=$(mktemp -d "$TOOLS/prometheus.XXXXXX")
  # Only downloaded: an installed package would start a server. Debian 13 has promtool in a package of its own.
  if (cd "$folder" && { apt-get download promtool || apt-get download prometheus; }) >/dev/null 2>&1; then
    dpkg-deb -x "$folder"/*.deb "$folder"
    mv "$folder/usr/bin/promtool" "$TOOLS/promtool"
  fi
  rm -rf "$folder"
  [ -x "$TOOLS/promtool" ] || miss "promtool could not be fetched (apt-get download prometheus)"
fi

schemas_of "the Prometheus Operator's" "github.com/prometheus-operator/prometheus-operator@$PROMETHEUS_OPERATOR_VERSION" \
  example/prometheus-operator-crd/monitoring.coreos.com_ servicemonitors prometheusrules
schemas_of "the Gateway API's" "sigs.k8s.io/gateway-api@$GATEWAY_API_VERSION" \
  config/crd/experimental/gateway.networking.k8s.io_ gateways httproutes
schemas_of "cert-manager's" "github.com/cert-manager/cert-manager@$CERT_MANAGER_VERSION" \
  deploy/crds/cert-manager.io_ certificates issuers

if [ ! -f "$SCHEMAS/flinkdeployments.yaml" ]; then
  if ! { command -v java && command -v mvn; } >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
    say "installing Java and Maven"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends default-jre-headless maven; } >/dev/null 2>&1 || true
  fi
  command -v mvn >/dev/null || miss "no Maven on this machine (apt-get install maven)"
  say "fetching the Flink Operator's schemas"
  folder=$(mktemp -d "$SCHEMAS/flink.XXXXXX")
  trap 'rm -rf "$folder"' EXIT
  mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy "-DoutputDirectory=$folder" \
    "-Dartifact=org.apache.flink:flink-kubernetes-operator-api:$FLINK_OPERATOR_VERSION" >"$SCHEMAS/maven.log" 2>&1 ||
    miss "Maven could not fetch the Flink Operator's schemas (build/k8s-schemas/maven.log)"
  .venv/bin/python -m zipfile -e "$folder"/*.jar "$folder"
  keep "$folder/META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml" flinkdeployments.yaml
fi
say "ready: build/k8s-schemas"
