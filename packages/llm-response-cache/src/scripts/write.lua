-- Keeps an entry that is asked for a second time within a span.
-- KEYS  entry, mark of what was asked for once
-- ARGV  entry, its time to live in ms, '1' to leave alone what is there, the span in ms
-- Reply 1 where it was kept, 0 where not.
if ARGV[3] == '1' and redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
if redis.call('EXISTS', KEYS[1], KEYS[2]) == 0 then
  redis.call('SET', KEYS[2], '', 'PX', ARGV[4])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
