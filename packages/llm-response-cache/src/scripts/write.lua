-- Stores an entry under conditions.
-- KEYS  entry, mark of a first request, mark of a deletion
-- ARGV  entry, its ttl in ms, '1' not to replace an entry, time in ms within which a second request must come
--       ('0': not needed), '1' not to store it if it was deleted a short while ago
-- Reply 1 if it was stored, else 0.
if ARGV[3] == '1' and redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
if ARGV[5] == '1' and redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
if ARGV[4] ~= '0' and redis.call('EXISTS', KEYS[1], KEYS[2]) == 0 then
  redis.call('SET', KEYS[2], '', 'PX', ARGV[4])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
