-- Adds to a whole number.
--
-- KEYS  1 hash: v value, n version
-- ARGV  1 what to add  2 ttl in ms, where there was none
-- Reply the sum
local fresh = redis.call('EXISTS', KEYS[1]) == 0
local sum = redis.call('HINCRBY', KEYS[1], 'v', ARGV[1])
redis.call('HINCRBY', KEYS[1], 'n', 1)
if fresh then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return sum
