-- Destroys a session, and leaves a tombstone, so that a slow request does not bring it back.
--
-- KEYS  1 hash of the session, as write.lua describes
-- ARGV  1 ms for which the tombstone stays
-- Reply 1 if there was a session
local meta = redis.call('HMGET', KEYS[1], '_v', '_d')
redis.call('UNLINK', KEYS[1])
redis.call('HSET', KEYS[1], '_d', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return meta[1] and not meta[2] and 1 or 0
