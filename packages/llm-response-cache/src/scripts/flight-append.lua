-- A leader renews its lease, and adds to its log.
-- KEYS  lease, log
-- ARGV  generation, lease in ms, lifetime of the log in ms, number of records before these, the records: type, data …
-- Reply number of followers so far, or -1 if the lease is lost. It also ends if the log lacks records before these:
--       followers would read an answer with a gap.
-- Idempotent: records that are in the log already, by their number, are not added again.
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return -1 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if #ARGV > 4 then
  local have = redis.call('XLEN', KEYS[2]) - tonumber(ARGV[4])
  if have < 0 then
    redis.call('DEL', KEYS[1], KEYS[2])
    return -1
  end
  for index = 5 + 2 * have, #ARGV, 2 do redis.call('XADD', KEYS[2], '*', ARGV[index], ARGV[index + 1]) end
end
-- A leader may be silent for longer than a log is kept, and renew its lease meanwhile.
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return tonumber(redis.call('HGET', KEYS[1], 'followers'))
