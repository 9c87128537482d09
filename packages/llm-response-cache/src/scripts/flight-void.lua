-- Voids a flight whose name was cleared: its answer goes to waiting callers, and is not stored.
-- KEYS  lease
-- ARGV  the model that was cleared (none: all)
if ARGV[1] and redis.call('HGET', KEYS[1], 'model') ~= ARGV[1] then return 0 end
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'void', '1')
return 1
