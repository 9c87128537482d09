-- Removes a node and remembers its removal, so that no older registration brings it back.
--
-- KEYS  as put.lua
-- ARGV  1 id  2 revision of a removal made elsewhere, or ''
-- Reply {removed, version}
local id = ARGV[1]
local stored = redis.call('HGET', KEYS[2], id)
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or 0)
if not stored then return { 0, version } end
local space = string.find(stored, ' ', 1, true)
local revision = tonumber(string.sub(stored, 1, space - 1))
local given = tonumber(ARGV[2])
if given and given <= revision then return { 0, version } end
redis.call('HDEL', KEYS[2], id)
redis.call('HDEL', KEYS[3], cjson.decode(string.sub(stored, space + 1)).endpoint)
redis.call('ZREM', KEYS[4], id)
redis.call('HSET', KEYS[5], id, string.format('%.0f', given or revision + 1))
return { 1, redis.call('HINCRBY', KEYS[1], 'version', 1) }
