-- Adds to a whole number.
--
-- KEYS  1 hash: v value, n version
-- ARGV  1 what to add  2 ttl in ms for a key without a value
-- Reply {1, sum, version, remaining ms}, or {0} if the value or the sum is no whole number that JavaScript holds
--- @include "kv-version"
local version = version_of(KEYS[1])
local value = redis.call('HGET', KEYS[1], 'v')
if value and not string.find(value, '^-?%d+$') then return { 0 } end
local sum = tonumber(value or 0) + tonumber(ARGV[1])
if math.abs(sum) > 9007199254740991 then return { 0 } end
version = version_after(version)
redis.call('HSET', KEYS[1], 'v', string.format('%.0f', sum), 'n', string.format('%.0f', version))
if not value then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return { 1, sum, version, redis.call('PTTL', KEYS[1]) }
