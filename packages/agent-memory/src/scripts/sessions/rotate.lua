-- Gives a session another id: the old one is destroyed in the same step.
--
-- KEYS  1 hash of the session   2 hash under the new id   3 sorted set of the user's sessions by end, ms
-- ARGV  1 name of the old one in the sorted set   2 of the new one   3 ms for which the old one's note stays
-- Reply 1, or 0 when there is none
if redis.call('HEXISTS', KEYS[2], '_v') == 1 then return 1 end
local meta = redis.call('HMGET', KEYS[1], '_v', '_d')
if meta[2] or not meta[1] then return 0 end
redis.call('RENAME', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], '_d', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local ends = redis.call('ZSCORE', KEYS[3], ARGV[1])
if ends then
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('ZADD', KEYS[3], ends, ARGV[2])
end
return 1
