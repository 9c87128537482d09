-- A leader ends its flight without an answer.
-- KEYS  lease, log
-- ARGV  generation, reason, lifetime of the log in ms
-- Reply 1, or 0 if the lease is lost.
local lease = redis.call('HMGET', KEYS[1], 'generation', 'followers')
if lease[1] ~= ARGV[1] then return 0 end
if tonumber(lease[2]) > 0 then
  redis.call('XADD', KEYS[2], '*', 'failed', ARGV[2])
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
redis.call('DEL', KEYS[1])
return 1
