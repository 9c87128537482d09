-- Gives a session another id: the old one is destroyed in the same step.
--
-- KEYS  1 hash of the session   2 hash under the new id
-- ARGV  1 ms for which the old one's tombstone stays
-- Reply 1, or 0 if there is no session
if redis.call('HEXISTS', KEYS[2], '_v') == 1 then return 1 end
local meta = redis.call('HMGET', KEYS[1], '_v', '_d')
if meta[2] or not meta[1] then return 0 end
redis.call('RENAME', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], '_d', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
