-- Takes a row out of a place. May be repeated.
--
-- KEYS  as semantic-add.lua
-- ARGV  1 id  2 'set' or 'hash': what key 3 is
-- Reply 1 if it was there
local id, isSet = ARGV[1], ARGV[2] == 'set'
local was = redis.call('HDEL', KEYS[1], id)
redis.call('HDEL', KEYS[2], id)
if isSet then
  if redis.call('EXISTS', KEYS[3]) == 1 then redis.call('VREM', KEYS[3], id) end
  redis.call('ZREM', KEYS[4], id)
else
  redis.call('HDEL', KEYS[3], id)
  -- Its name stays until its time is over, so that those who follow the changes hear of it.
  if was == 1 then redis.call('ZADD', KEYS[5], redis.call('HINCRBY', KEYS[6], 'change', 1), id) end
end
return was
