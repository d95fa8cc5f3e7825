#!/usr/bin/env bash
# Runs k8s/ on a cluster of its own (kind): what the tests of k8s/ cannot show without one.
#
#   scripts/kind_e2e.sh           # half an hour; needs docker, kind, kubectl, helm, openssl, curl
#
# First `local`: builds the images, applies the overlay, waits for the seeded model, colours a photograph. Then `prod`,
# with certificates made here, Prometheus from its Helm chart, and the Gateway API's definitions: every target must be
# up, and no pod may be refused by the namespace's Pod Security. The cluster is deleted at the end; KEEP=1 keeps it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

CLUSTER=${CLUSTER:-tintype-e2e}
NAMESPACE=tintype
GATEWAY_API=https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.5.0/experimental-install.yaml
FOLDER=$(mktemp -d)
FORWARD=

say() { printf '[kind] %s\n' "$*" >&2; }
fail() { say "FAILED: $*"; kubectl -n "$NAMESPACE" get pods,events >&2 || true; exit 1; }

finish() {
  [ -z "$FORWARD" ] || kill "$FORWARD" 2>/dev/null || true
  [ "${KEEP:-}" = 1 ] || kind delete cluster --name "$CLUSTER" >&2 || true
  rm -rf "$FOLDER"
}
trap finish EXIT

for program in docker kind kubectl helm openssl curl; do
  command -v "$program" >/dev/null || { say "$program is missing"; exit 3; }
done

# forward NAMESPACE TARGET PORTS: in the background, until the next one; waits until it answers.
forward() {
  [ -z "$FORWARD" ] || kill "$FORWARD" 2>/dev/null || true
  kubectl -n "$1" port-forward "$2" "$3" >/dev/null 2>&1 &
  FORWARD=$!
  for _ in $(seq 60); do
    curl -s -o /dev/null "localhost:${3%%:*}" && return
    sleep 1
  done
  fail "no answer from $2"
}

wait_for_servers() {
  kubectl -n "$NAMESPACE" rollout status deployment/colorizer deployment/gateway --timeout=15m || fail "not ready"
}

# colour [HEADER]: a gray picture, through the gateway of the cluster.
colour() {
  forward "$NAMESPACE" service/gateway 18080:80
  curl --fail --silent --show-error --max-time 120 ${1:+--header "$1"} --data-binary "@$FOLDER/gray.png" \
    --output "$FOLDER/coloured.png" localhost:18080/api/colorize || fail "a photograph was not coloured"
  cmp -s "$FOLDER/gray.png" "$FOLDER/coloured.png" && fail "the answer is the photograph itself"
  say "coloured a photograph"
}

make_cluster_and_images() {
  kind create cluster --name "$CLUSTER" --wait 5m
  for name in gateway pipeline; do
    docker build -f "k8s/images/$name.Dockerfile" -t "tintype-$name:local" .
  done
  kind load docker-image --name "$CLUSTER" tintype-gateway:local tintype-pipeline:local
  docker run --rm --entrypoint python tintype-gateway:local -c '
import io, sys
from PIL import Image
data = io.BytesIO()
Image.linear_gradient("L").resize((320, 240)).save(data, "PNG")
sys.stdout.buffer.write(data.getvalue())' >"$FOLDER/gray.png"
}

try_local() {
  say "applying overlays/local"
  kubectl apply -k k8s/overlays/local
  wait_for_servers
  colour
  kubectl delete namespace "$NAMESPACE" --wait --timeout=10m
}

# One authority, and a certificate for each side, in the secrets that docs/kubernetes.md names.
make_secrets() {
  (
    cd "$FOLDER"
    new=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2)
    openssl req -x509 "${new[@]}" -keyout ca.key -out ca.crt -subj /CN=authority
    for name in server client; do
      openssl req "${new[@]}" -keyout "$name.key" -out "$name.csr" -subj "/CN=$name"
      printf 'subjectAltName=DNS:colorizer-headless,DNS:colorizer,DNS:localhost,DNS:photos.example.org\n' >names
      openssl x509 -req -in "$name.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out "$name.crt"
    done
  ) >/dev/null 2>&1
  kubectl create namespace "$NAMESPACE"
  local secret side
  for secret in colorizer-tls:server colorizer-client-tls:client; do
    side=${secret#*:}
    kubectl -n "$NAMESPACE" create secret generic "${secret%%:*}" --from-file="tls.crt=$FOLDER/$side.crt" \
      --from-file="tls.key=$FOLDER/$side.key" --from-file="ca.crt=$FOLDER/ca.crt"
  done
  kubectl -n "$NAMESPACE" create secret tls gateway-tls --cert="$FOLDER/server.crt" --key="$FOLDER/server.key"
  TOKEN=$(openssl rand -hex 24)
  kubectl -n "$NAMESPACE" create secret generic gateway-access --from-literal=token="$TOKEN"
}

# prod as it is, but for what one machine lacks: the images of here, one pod of each, storage that one node mounts.
write_prod_overlay() {
  mkdir "$FOLDER/overlay"
  cp -r k8s "$FOLDER/k8s"
  cat >"$FOLDER/overlay/kustomization.yaml" <<'YAML'
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - ../k8s/overlays/prod
images:
  - {name: registry.example.org/tintype/gateway, newName: tintype-gateway, newTag: local}
  - {name: registry.example.org/tintype/pipeline, newName: tintype-pipeline, newTag: local}
patches:
  - target: {kind: PersistentVolumeClaim}
    patch: |
      - {op: remove, path: /spec/storageClassName}
      - {op: replace, path: /spec/accessModes, value: [ReadWriteOnce]}
      - {op: replace, path: /spec/resources/requests/storage, value: 5Gi}
  - target: {kind: Deployment}
    patch: |
      - {op: add, path: /spec/replicas, value: 1}
      - {op: replace, path: /spec/template/spec/containers/0/resources/requests, value: {cpu: 250m, memory: 512Mi}}
  - target: {kind: HorizontalPodAutoscaler}
    patch: |
      - {op: replace, path: /spec/minReplicas, value: 1}
YAML
}

# every_target_is_up: Prometheus scrapes a model server and a gateway, and none of ours is down.
every_target_is_up() {
  forward monitoring service/kube-prometheus-stack-prometheus 19090:9090
  local query answer service
  for _ in $(seq 40); do
    query='sum by (service) (up{namespace="tintype"}) / count by (service) (up{namespace="tintype"}) == 1'
    answer=$(curl -sG localhost:19090/api/v1/query --data-urlencode "query=$query" || true)
    for service in colorizer gateway-metrics; do
      case $answer in *"\"service\":\"$service\""*) ;; *) answer= ;; esac
    done
    [ -z "$answer" ] || { say "every target is up"; return; }
    sleep 15
  done
  fail "Prometheus does not reach every target"
}

rules_are_loaded() {
  local rules
  rules=$(curl -s localhost:19090/api/v1/rules)
  case $rules in
    *'"name":"ColorizerDown"'*) say "the rules are loaded" ;;
    *) fail "Prometheus has not loaded the rules" ;;
  esac
}

try_prod() {
  say "applying overlays/prod"
  helm upgrade --install kube-prometheus-stack kube-prometheus-stack --namespace monitoring --create-namespace \
    --repo https://prometheus-community.github.io/helm-charts --set grafana.enabled=false --wait --timeout 15m
  kubectl apply --server-side -f "$GATEWAY_API"
  make_secrets
  write_prod_overlay
  kubectl apply --server-side --force-conflicts -k "$FOLDER/overlay"
  wait_for_servers
  colour "Authorization: Bearer $TOKEN"
  every_target_is_up
  rules_are_loaded
  if kubectl -n "$NAMESPACE" get events -o wide | grep -i 'violates PodSecurity'; then
    fail "a pod was refused"
  fi
}

make_cluster_and_images
try_local
try_prod
say "all is well"
