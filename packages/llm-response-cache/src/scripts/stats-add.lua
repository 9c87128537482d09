-- Adds one instance's counts to those of all.
-- KEYS  the counts (a hash), mark of what this instance added last
-- ARGV  number of this addition, then field, amount …
-- Reply 1 where it was added, 0 where it had been before.
-- Idempotent by the number.
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
if last >= tonumber(ARGV[1]) then return 0 end
for index = 2, #ARGV, 2 do redis.call('HINCRBYFLOAT', KEYS[1], ARGV[index], ARGV[index + 1]) end
redis.call('PEXPIRE', KEYS[1], 30 * 86400000)
redis.call('SET', KEYS[2], ARGV[1], 'PX', 86400000)
return 1
