-- Deletes an entry. A flight under way for it began before: its answer goes to waiting callers, and is not stored.
-- KEYS  entry, lease, mark of the deletion
-- ARGV  lifetime of the mark in ms: until then no instance hands over an entry that it stored in an outage
-- Reply 1 if there was one, else 0
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('HSET', KEYS[2], 'void', '1') end
redis.call('SET', KEYS[3], '', 'PX', ARGV[1])
return redis.call('UNLINK', KEYS[1])
