#!/bin/sh
# Makes a Cluster of the given nodes, three primaries and their replicas; does nothing where there is one.
set -eu
export REDISCLI_AUTH="${REDIS_PASSWORD-}"
first="$1"
host="${first%:*}"
port="${first##*:}"
if redis-cli -h "$host" -p "$port" cluster info | grep -q 'cluster_state:ok'; then
  echo "the Cluster is there"
  exit 0
fi
exec redis-cli --cluster create "$@" --cluster-replicas "${CLUSTER_REPLICAS:-1}" --cluster-yes
