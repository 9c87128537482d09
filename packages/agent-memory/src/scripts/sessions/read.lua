-- Reads a session, and prolongs it when a tenth of its time is over.
--
-- KEYS  1 hash of the session, as session-write.lua tells   2 sorted set of the user's sessions by end, ms
-- ARGV  1 now in ms for tests, '' for the server's clock   2 ttl in ms, '' to leave it as it is
--       3 name in the sorted set
-- Reply {} when there is none, {field, value, …} otherwise
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local fields = redis.call('HGETALL', KEYS[1])
local ends, user, alive
for index = 1, #fields, 2 do
  if fields[index] == '_d' then return {} end
  if fields[index] == '_v' then alive = true end
  if fields[index] == '_x' then ends = tonumber(fields[index + 1]) end
  if fields[index] == '_u' then user = fields[index + 1] end
end
if not alive then return {} end
local ttl = tonumber(ARGV[2])
if ttl then
  if ends then ttl = math.max(1, math.min(ttl, ends - now)) end
  if redis.call('PTTL', KEYS[1]) < ttl * 0.9 then
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ttl))
    if user then
      redis.call('ZADD', KEYS[2], string.format('%.0f', now + ttl), ARGV[3])
      if redis.call('PTTL', KEYS[2]) < ttl then redis.call('PEXPIRE', KEYS[2], string.format('%.0f', ttl)) end
    end
  end
end
return fields
