#!/bin/sh
# Starts a sentinel of the primary redis-1 (or PRIMARY_HOST and PRIMARY_PORT). Two of three sentinels must agree.
set -eu
conf="${SENTINEL_CONF:-/tmp/sentinel.conf}"
cat >"$conf" <<CONF
port ${SENTINEL_PORT:-26379}
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel monitor mymaster ${PRIMARY_HOST:-redis-1} ${PRIMARY_PORT:-6379} 2
sentinel auth-pass mymaster $REDIS_PASSWORD
sentinel down-after-milliseconds mymaster 3000
sentinel failover-timeout mymaster 15000
sentinel parallel-syncs mymaster 1
CONF
exec "${SENTINEL_SERVER:-redis-server}" "$conf" --sentinel
