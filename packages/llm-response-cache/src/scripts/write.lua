-- Keeps an entry under conditions.
-- KEYS  entry, mark of what was asked for once, mark of what was deleted
-- ARGV  entry, its time to live in ms, '1' to leave alone what is there, the span in ms within which it must be asked
--       for twice ('0': not needed), '1' not to keep what was deleted a short while ago
-- Reply 1 where it was kept, 0 where not.
if ARGV[3] == '1' and redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
if ARGV[5] == '1' and redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
if ARGV[4] ~= '0' and redis.call('EXISTS', KEYS[1], KEYS[2]) == 0 then
  redis.call('SET', KEYS[2], '', 'PX', ARGV[4])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
