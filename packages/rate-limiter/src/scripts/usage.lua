-- Adds what an instance has counted since its last report, and keeps the subjects that were seen last.
--
-- KEYS  1 hash of totals, sorted sets of subjects: 2 by admitted calls, 3 by denied calls, 4 by when last seen
-- ARGV  1 subjects to keep, 2 count of totals, then each: field, number; then each subject: name, admitted, denied,
--       when last seen
-- Reply how many subjects are kept
local keep, position = tonumber(ARGV[1]), 2
for _ = 1, tonumber(ARGV[2]) do
  redis.call('HINCRBY', KEYS[1], ARGV[position + 1], ARGV[position + 2])
  position = position + 2
end
while position < #ARGV do
  local subject = ARGV[position + 1]
  redis.call('ZINCRBY', KEYS[2], ARGV[position + 2], subject)
  redis.call('ZINCRBY', KEYS[3], ARGV[position + 3], subject)
  redis.call('ZADD', KEYS[4], 'GT', ARGV[position + 4], subject)
  position = position + 4
end
-- Drops the subjects that were not seen for the longest time, so that those of this report stay.
local excess = redis.call('ZCARD', KEYS[4]) - keep
while excess > 0 do
  -- At most as many at once as Lua's stack can hold.
  local gone = redis.call('ZRANGE', KEYS[4], 0, math.min(excess, 1000) - 1)
  for _, key in ipairs({ KEYS[2], KEYS[3], KEYS[4] }) do redis.call('ZREM', key, unpack(gone)) end
  excess = excess - #gone
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, 86400000) end
return redis.call('ZCARD', KEYS[4])
