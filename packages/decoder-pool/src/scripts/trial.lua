-- Takes, prolongs or gives back the one permit to try a node.
--
-- KEYS  1 the permit (text: who holds it)
-- ARGV  1 who asks  2 ms to hold it, '0' to give it back
-- Reply 1 if it is held by whoever asks, otherwise 0
local holder = redis.call('GET', KEYS[1])
if ARGV[2] == '0' then
  if holder == ARGV[1] then redis.call('DEL', KEYS[1]) end
  return 0
end
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
