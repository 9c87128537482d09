-- Renews a coordinator's lease, and records all that it holds.
--
-- KEYS  1 sorted set coordinators: 'id region', expiry in ms   2 hash totals: node to count of all
--       3 hash of the coordinator: node to its own count, '' to its last sequence and the requirements that wait
-- ARGV  1 'id region'  2 sequence  3 lease in ms  4 ms to keep all of it without a heartbeat
--       5 the time in µs for tests, or '' for the server's  6… node, count, …
-- Reply {1, or 0 if the sequence is old, {'id region', ms left, …} of live coordinators, {node, total, …},
--        {'id region', …} to reap, 1 if this coordinator was unknown or no lease was live}
--- @include "clock"
--- @include "count"
local function add(node, by)
  local total = countOf(redis.call('HGET', KEYS[2], node)) + by
  if total > 0 then redis.call('HSET', KEYS[2], node, total) else redis.call('HDEL', KEYS[2], node) end
end

local me, sequence, keep = ARGV[1], tonumber(ARGV[2]), ARGV[4]
local now = math.floor(micros(ARGV[5]) / 1000)
local after = string.format('(%.0f', now)

-- If no lease is live, Redis was probably away: the coordinators get a moment to renew before any is reaped.
local wasAway = redis.call('ZCOUNT', KEYS[1], after, '+inf') == 0

local stored = redis.call('HGET', KEYS[3], '')
local last, requirements = string.match(stored or '0', '^(%d+)(.*)$')
local known = tonumber(last or 0) < sequence
if known then
  redis.call('ZADD', KEYS[1], now + ARGV[3], me)
  local held = {}
  for index = 6, #ARGV, 2 do
    local count = tonumber(ARGV[index + 1])
    if count > 0 then held[ARGV[index]] = count end
  end
  local before = redis.call('HGETALL', KEYS[3])
  for index = 1, #before, 2 do
    local node = before[index]
    if node ~= '' then
      local by = (held[node] or 0) - countOf(before[index + 1])
      if by ~= 0 then add(node, by) end
      if not held[node] then redis.call('HDEL', KEYS[3], node) end
    end
  end
  local former = {}
  for index = 1, #before, 2 do former[before[index]] = true end
  for node, count in pairs(held) do
    if not former[node] then add(node, count) end
    redis.call('HSET', KEYS[3], node, count)
  end
  redis.call('HSET', KEYS[3], '', sequence .. (requirements or ''))
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, keep) end
end

local live = redis.call('ZRANGEBYSCORE', KEYS[1], after, '+inf', 'WITHSCORES')
for index = 2, #live, 2 do live[index] = tonumber(live[index]) - now end
return {
  known and 1 or 0,
  live,
  redis.call('HGETALL', KEYS[2]),
  wasAway and {} or redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now),
  (wasAway or not stored) and 1 or 0,
}
