-- Renews the leases of registered nodes; never creates one.
--
-- KEYS  1 hash nodes  2 sorted set leases: id, expiry in ms
-- ARGV  1 lease in ms  2 the time in µs for tests, or '' for the server's  3… ids
-- Reply the ids that are not registered
--- @include "clock"
local expiry = math.floor(micros(ARGV[2]) / 1000) + ARGV[1]
local unknown = {}
for index = 3, #ARGV do
  local id = ARGV[index]
  if redis.call('HEXISTS', KEYS[1], id) == 1 then
    redis.call('ZADD', KEYS[2], 'GT', expiry, id)
  else
    unknown[#unknown + 1] = id
  end
end
return unknown
