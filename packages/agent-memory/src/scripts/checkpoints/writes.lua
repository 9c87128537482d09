-- Stores writes of a task beside a checkpoint: ordinary ones once; special ones (of negative index) are replaced.
--
-- KEYS  1 hash of the thread's checkpoints, as put.lua describes
-- ARGV  1 ttl in ms, 0 for none   2 name of the checkpoint   3 … names and values of writes: task,index
-- Reply 1
local list = 'w|' .. ARGV[2]
local names = redis.call('HGET', KEYS[1], list) or ''
for index = 3, #ARGV, 2 do
  local field = list .. '|' .. ARGV[index]
  if redis.call('HEXISTS', KEYS[1], field) == 0 then
    names = names .. ARGV[index] .. ' '
    redis.call('HSET', KEYS[1], field, ARGV[index + 1])
  elseif string.find(ARGV[index], ',-', 1, true) then
    redis.call('HSET', KEYS[1], field, ARGV[index + 1])
  end
end
redis.call('HSET', KEYS[1], list, names)
if ARGV[1] ~= '0' and redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return 1
