-- Adds one instance's counts to those of all instances.
-- KEYS  the counts (a hash), number of this instance's last addition
-- ARGV  number of this addition, then field, amount …
-- Reply 1 if it was added, 0 if it had been added before.
-- Idempotent by the number.
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
if last >= tonumber(ARGV[1]) then return 0 end
for index = 2, #ARGV, 2 do redis.call('HINCRBYFLOAT', KEYS[1], ARGV[index], ARGV[index + 1]) end
redis.call('PEXPIRE', KEYS[1], 30 * 86400000)
redis.call('SET', KEYS[2], ARGV[1], 'PX', 86400000)
return 1
