-- Stores a checkpoint, or returns which values must be sent with it.
--
-- KEYS  1 hash of the thread's checkpoints   2 sorted set of their names, all of score 0
-- ARGV  1 ttl in ms, 0 for none   2 name: namespace|id   3 the checkpoint
--       4 number of values that it refers to itself, their digests; then digests and values that are new
-- Reply {} if it was stored, otherwise the digests of missing values; nothing is stored then
-- Fields: c|<name> a checkpoint, its first line the digests of its values by commas   b|<digest> a value, or a run of
--         others: list, LF, their digests by commas   w|<name> names of its writes: task,index by blanks
--         w|<name>|<task>,<index> a write
local hash = KEYS[1]
local count = tonumber(ARGV[4])
local fresh, missing = {}, {}
for index = 5 + count, #ARGV, 2 do fresh[ARGV[index]] = true end
local function need(digest)
  if not fresh[digest] and redis.call('HEXISTS', hash, 'b|' .. digest) == 0 then missing[#missing + 1] = digest end
end
for index = 5, 4 + count do need(ARGV[index]) end
-- A stored run has all its elements; a new one may name some that Redis has lost.
for index = 6 + count, #ARGV, 2 do
  if string.sub(ARGV[index], 1, 5) == 'list\n' then
    for element in string.gmatch(string.sub(ARGV[index], 6), '[^,]+') do need(element) end
  end
end
if #missing > 0 then return missing end
for index = 5 + count, #ARGV, 2 do redis.call('HSETNX', hash, 'b|' .. ARGV[index], ARGV[index + 1]) end
redis.call('HSET', hash, 'c|' .. ARGV[2], ARGV[3])
redis.call('ZADD', KEYS[2], 0, ARGV[2])
if ARGV[1] ~= '0' then
  redis.call('PEXPIRE', hash, ARGV[1])
  redis.call('PEXPIRE', KEYS[2], ARGV[1])
end
return {}
