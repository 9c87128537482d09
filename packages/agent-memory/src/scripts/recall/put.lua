-- Stores items that can be recalled, and removes those that they replace, in one step. Items of a thread or an owner
-- that was deleted or erased since are not stored. After head.lua.
--
-- KEYS  1 hash of the owner's items: id and JSON; v:id and the vector in base64, if there is no vector set;
--         :n rises with each change; :g the owner's generation at the last change
--       2 vector set of the owner   3 hash of the owner   4 … hashes of threads
-- ARGV  1 ms until the owner's items expire   2 1 for the vector set   3 number of ids to remove, the ids
--       4 … id, JSON, vector (of 32-bit numbers for the set, in base64 otherwise), number of its thread among the
--       keys from 4 on or 0 for none, generation that was known when the item was made, '' for any
-- Reply number of items
local removed, put = tonumber(ARGV[3]), 0
for index = 4, 3 + removed do
  redis.call('HDEL', KEYS[1], ARGV[index], 'v:' .. ARGV[index])
  if ARGV[2] == '1' then redis.call('VREM', KEYS[2], ARGV[index]) end
end
for index = 4 + removed, #ARGV, 5 do
  local thread = KEYS[3 + tonumber(ARGV[index + 3])]
  local now = thread == KEYS[3] and tonumber(redis.call('HGET', thread, 'g') or 0) or generationOf(thread, KEYS[3])
  if ARGV[index + 4] == '' or now <= tonumber(ARGV[index + 4]) then
    put = put + 1
    redis.call('HSET', KEYS[1], ARGV[index], ARGV[index + 1])
    if ARGV[2] == '1' then
      redis.call('VADD', KEYS[2], 'FP32', ARGV[index + 2], ARGV[index], 'NOQUANT')
    else
      redis.call('HSET', KEYS[1], 'v:' .. ARGV[index], ARGV[index + 2])
    end
  end
end
if removed == 0 and put == 0 then return redis.call('HLEN', KEYS[1]) end
redis.call('HINCRBY', KEYS[1], ':n', 1)
redis.call('HSET', KEYS[1], ':g', redis.call('HGET', KEYS[3], 'g') or 0)
for index = 1, 2 do
  if redis.call('PTTL', KEYS[index]) < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[index], ARGV[1]) end
end
return redis.call('HLEN', KEYS[1])
