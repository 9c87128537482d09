-- Puts what can be recalled, and takes away what it supersedes, in one step.
--
-- KEYS  1 hash of the owner's items: id and JSON; v:id and the vector in base64, where there is no vector set;
--         _n rises with each change   2 vector set of the owner
-- ARGV  1 ms until the owner's items end   2 1 for the vector set   3 number of ids to take away, the ids
--       4 … id, JSON, vector: of 32-bit numbers for the set, in base64 otherwise
-- Reply number of items
local removed = tonumber(ARGV[3])
for index = 4, 3 + removed do
  redis.call('HDEL', KEYS[1], ARGV[index], 'v:' .. ARGV[index])
  if ARGV[2] == '1' then redis.call('VREM', KEYS[2], ARGV[index]) end
end
for index = 4 + removed, #ARGV, 3 do
  redis.call('HSET', KEYS[1], ARGV[index], ARGV[index + 1])
  if ARGV[2] == '1' then
    redis.call('VADD', KEYS[2], 'FP32', ARGV[index + 2], ARGV[index], 'NOQUANT')
  else
    redis.call('HSET', KEYS[1], 'v:' .. ARGV[index], ARGV[index + 2])
  end
end
redis.call('HINCRBY', KEYS[1], '_n', 1)
for index = 1, 2 do
  if redis.call('PTTL', KEYS[index]) < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[index], ARGV[1]) end
end
return redis.call('HLEN', KEYS[1])
