-- A coordinator probes no more: what it told is forgotten.
--
-- KEYS  as share-verdicts.lua
-- ARGV  1 coordinator
-- Reply how many verdicts that were
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
