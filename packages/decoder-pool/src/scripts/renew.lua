-- Renews the leases of registered nodes; never creates one.
--
-- KEYS  1 hash nodes  2 sorted set leases: id, expiry in ms
-- ARGV  1 lease in ms  2 the time in ms for tests, or '' for the server's  3… ids
-- Reply the ids that are not registered
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local unknown = {}
for index = 3, #ARGV do
  local id = ARGV[index]
  if redis.call('HEXISTS', KEYS[1], id) == 1 then
    redis.call('ZADD', KEYS[2], 'GT', now + ARGV[1], id)
  else
    unknown[#unknown + 1] = id
  end
end
return unknown
