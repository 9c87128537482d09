-- Destroys sessions: each leaves a note, so that a slow request does not bring it back.
--
-- KEYS  1 sorted set of the user's sessions by end, ms   2 … hashes of sessions, as session-write.lua tells
-- ARGV  1 ms for which the notes stay   2 … names of the sessions in the sorted set
-- Reply number that were there
local destroyed = 0
for index = 2, #KEYS do
  local meta = redis.call('HMGET', KEYS[index], '_v', '_d')
  if meta[1] and not meta[2] then destroyed = destroyed + 1 end
  redis.call('UNLINK', KEYS[index])
  redis.call('HSET', KEYS[index], '_d', '1')
  redis.call('PEXPIRE', KEYS[index], ARGV[1])
  redis.call('ZREM', KEYS[1], ARGV[index])
end
return destroyed
