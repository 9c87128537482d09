-- Removes a coordinator that stops probing, and its verdicts.
--
-- KEYS  as share-verdicts.lua
-- ARGV  1 coordinator
-- Reply the number of removed verdicts
redis.call('HDEL', KEYS[3], ARGV[1])
local gone = 0
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.match(name, '^(.-)\n') == ARGV[1] then
    redis.call('HDEL', KEYS[1], name)
    redis.call('ZREM', KEYS[2], name)
    gone = gone + 1
  end
end
return gone
