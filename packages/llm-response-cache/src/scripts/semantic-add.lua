-- Adds a row to a place, or replaces it. May be repeated.
--
-- KEYS  1 hash id -> sheet  2 hash id -> observations  3 vectors  4 zset id -> end  5 zset id -> change  6 hash of the place
-- ARGV  1 id  2 sheet  3 vector, FP32  4 ttl in ms  5 maximum of rows  6 'set' or 'hash': the type of key 3
--       7 generation of the place, if it has none
-- Reply 1
--- @include "clock"
local id, isSet = ARGV[1], ARGV[6] == 'set'
local now = now()

local function drop(ids)
  for _, gone in ipairs(ids) do
    redis.call('HDEL', KEYS[1], gone)
    redis.call('HDEL', KEYS[2], gone)
    redis.call(isSet and 'VREM' or 'HDEL', KEYS[3], gone)
    redis.call('ZREM', KEYS[4], gone)
    redis.call('ZREM', KEYS[5], gone)
  end
end

-- If the sheet has changed or the old row has expired, its observations do not apply to the new row.
local ends = redis.call('ZSCORE', KEYS[4], id)
if redis.call('HGET', KEYS[1], id) ~= ARGV[2] or (ends and tonumber(ends) <= now) then
  redis.call('HDEL', KEYS[2], id)
end
if isSet then
  redis.call('VADD', KEYS[3], 'FP32', ARGV[3], id, 'NOQUANT')
else
  redis.call('HSET', KEYS[3], id, ARGV[3])
  if redis.call('HSETNX', KEYS[6], 'generation', ARGV[7]) == 1 then redis.call('HSET', KEYS[6], 'change', 0) end
  redis.call('HSET', KEYS[6], 'most', ARGV[5])
  redis.call('ZADD', KEYS[5], redis.call('HINCRBY', KEYS[6], 'change', 1), id)
end
redis.call('HSET', KEYS[1], id, ARGV[2])
redis.call('ZADD', KEYS[4], now + tonumber(ARGV[4]), id)

-- A few at a time, so that no write pays for all rows that have expired since the last one.
drop(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, 32))
local over = redis.call('ZCARD', KEYS[4]) - tonumber(ARGV[5])
if over > 0 then drop(redis.call('ZRANGE', KEYS[4], 0, math.min(over, 64) - 1)) end

local last = redis.call('ZRANGE', KEYS[4], -1, -1, 'WITHSCORES')[2]
if last then
  for _, key in ipairs(KEYS) do redis.call('PEXPIREAT', key, string.format('%.0f', tonumber(last))) end
end
return 1
