-- Deletes an entry. What is being called for it was begun before: its answer goes to those who wait, and is not kept.
-- KEYS  entry, lease
-- Reply 1 if there was one, else 0
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('HSET', KEYS[2], 'void', '1') end
return redis.call('UNLINK', KEYS[1])
