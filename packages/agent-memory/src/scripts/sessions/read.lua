-- Reads a session, and prolongs it if more than a tenth of its time is over.
--
-- KEYS  1 hash of the session, as write.lua describes
-- ARGV  1 now in ms for tests, '' for the server's clock   2 ttl in ms, '' to leave it as it is
-- Reply {} if there is none, {ms until its end, 1 if it was prolonged, field, value, …} otherwise
--- @include "clock"
local now = now(ARGV[1])
local fields = redis.call('HGETALL', KEYS[1])
local ends, alive
for index = 1, #fields, 2 do
  if fields[index] == '_d' then return {} end
  if fields[index] == '_v' then alive = true end
  if fields[index] == '_x' then ends = tonumber(fields[index + 1]) end
end
if not alive then return {} end
local ttl, left, moved = tonumber(ARGV[2]), redis.call('PTTL', KEYS[1]), 0
if ttl then
  if ends then ttl = math.max(1, math.min(ttl, ends - now)) end
  if left < ttl * 0.9 then
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ttl))
    left, moved = ttl, 1
  end
end
local reply = { string.format('%.0f', left), moved }
for index = 1, #fields do reply[index + 2] = fields[index] end
return reply
