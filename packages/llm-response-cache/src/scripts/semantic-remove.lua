-- Removes a row from a place. May be repeated.
--
-- KEYS  as semantic-add.lua
-- ARGV  1 id  2 'set' or 'hash': the type of key 3
-- Reply 1 if the row existed
local id, isSet = ARGV[1], ARGV[2] == 'set'
local was = redis.call('HDEL', KEYS[1], id)
redis.call('HDEL', KEYS[2], id)
if isSet then
  if redis.call('EXISTS', KEYS[3]) == 1 then redis.call('VREM', KEYS[3], id) end
  redis.call('ZREM', KEYS[4], id)
else
  redis.call('HDEL', KEYS[3], id)
  -- The id stays among the changes until the row's end, so that readers of changes learn of the removal.
  if was == 1 then redis.call('ZADD', KEYS[5], redis.call('HINCRBY', KEYS[6], 'change', 1), id) end
end
return was
