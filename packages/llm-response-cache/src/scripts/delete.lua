-- Deletes an entry. What is being called for it was begun before: its answer goes to those who wait, and is not kept.
-- KEYS  entry, lease, mark of what was deleted
-- ARGV  how long the mark lives in ms: what an instance answered without Redis meanwhile is not handed over
-- Reply 1 if there was one, else 0
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('HSET', KEYS[2], 'void', '1') end
redis.call('SET', KEYS[3], '', 'PX', ARGV[1])
return redis.call('UNLINK', KEYS[1])
