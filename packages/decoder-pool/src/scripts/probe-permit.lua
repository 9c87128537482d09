-- Takes, renews or returns the only permit to try a node.
--
-- KEYS  1 the permit (text: 'until-ms holder')
-- ARGV  1 who asks  2 ms to hold it, '0' to give it back  3 the time in ms for tests, or '' for the server's
-- Reply 1 if the caller holds it, otherwise 0
--- @include "clock"
local now = now(ARGV[3])
local till, holder = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (.*)$')
-- The key also expires by itself; this check works with a test's clock too.
if till and tonumber(till) <= now then holder = nil end
if ARGV[2] == '0' then
  if holder == ARGV[1] then redis.call('DEL', KEYS[1]) end
  return 0
end
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], string.format('%.0f ', now + tonumber(ARGV[2])) .. ARGV[1], 'PX', ARGV[2])
return 1
