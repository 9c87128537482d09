-- A leader ends its flight: writes the entry, ends the log, gives back the lease.
-- KEYS  entry, lease, log, mark of a first request
-- ARGV  generation, entry (empty: none), its ttl in ms, ms within which a second request must come (0: not needed),
--       '1' if the whole answer is in the log, lifetime of the log in ms, data of the end record
-- Reply 'kept' | 'released' | 'fenced' | 'publish'
local lease = redis.call('HMGET', KEYS[2], 'generation', 'followers', 'void')
if lease[1] ~= ARGV[1] then return 'fenced' end
local followed = tonumber(lease[2]) > 0
-- A flight that began before the entry was deleted stores nothing.
local admitted = ARGV[2] ~= '' and not lease[3]
-- A follower is the second request.
if admitted and ARGV[4] ~= '0' and not followed and redis.call('EXISTS', KEYS[1], KEYS[4]) == 0 then
  redis.call('SET', KEYS[4], '', 'PX', ARGV[4])
  admitted = false
end
if followed and not admitted and ARGV[5] == '0' then return 'publish' end
if admitted then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
if followed then
  redis.call('XADD', KEYS[3], '*', 'end', ARGV[7])
  redis.call('PEXPIRE', KEYS[3], ARGV[6])
end
redis.call('DEL', KEYS[2])
return admitted and 'kept' or 'released'
