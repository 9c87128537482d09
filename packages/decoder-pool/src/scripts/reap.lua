-- Releases all slots that a coordinator held, because it has left or its lease has ended.
--
-- KEYS  1 sorted set coordinators  2 hash totals  3 hash of the coordinator   (as in heartbeat.lua)
--       4 sorted set waiting   (as in acquire-slots.lua)
-- ARGV  1 'id region'  2 '1' if only an ended lease is reaped  3 the time in µs for tests, or '' for the server's
-- Reply 1 if it was reaped
--- @include "clock"
--- @include "count"

local expiry = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]))
if not expiry then return 0 end
if ARGV[2] == '1' then
  -- The coordinator came back before it could be reaped.
  if expiry > math.floor(micros(ARGV[3]) / 1000) then return 0 end
end
local held = redis.call('HGETALL', KEYS[3])
for index = 1, #held, 2 do
  local node = held[index]
  if node == '' then
    for requirement in string.gmatch(string.match(held[index + 1], '^%d+(.*)$') or '', '%S+') do
      redis.call('ZREM', KEYS[4], requirement .. ' ' .. ARGV[1])
    end
  else
    local total = countOf(redis.call('HGET', KEYS[2], node)) - countOf(held[index + 1])
    if total > 0 then redis.call('HSET', KEYS[2], node, total) else redis.call('HDEL', KEYS[2], node) end
  end
end
redis.call('DEL', KEYS[3])
redis.call('ZREM', KEYS[1], ARGV[1])
return 1
