-- Registers or changes a node and renews its lease, in one step.
--
-- KEYS  1 hash meta: epoch, version      2 hash nodes: id to 'revision json'
--       3 hash endpoints: endpoint to id 4 sorted set leases: id, expiry in ms
--       5 hash removed: id to revision
-- ARGV  1 id  2 endpoint  3 node as JSON, without its id  4 lease in ms  5 revision of a change made elsewhere, or ''
-- Reply {id, revision, version, outcome}
local id, endpoint, json = ARGV[1], ARGV[2], ARGV[3]
local known = redis.call('HGET', KEYS[3], endpoint)
-- The same endpoint twice is one node, under the id that it had first.
if known then id = known end

local stored = redis.call('HGET', KEYS[2], id)
local revision, body = 0, nil
if stored then
  local space = string.find(stored, ' ', 1, true)
  revision, body = tonumber(string.sub(stored, 1, space - 1)), string.sub(stored, space + 1)
end
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or 0)
local newest = math.max(revision, tonumber(redis.call('HGET', KEYS[5], id) or 0))
local given = tonumber(ARGV[5])
if given and given <= newest then return { id, revision, version, 'stale' } end

local time = redis.call('TIME')
redis.call('ZADD', KEYS[4], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[4], id)
if not given and body == json then return { id, revision, version, 'renewed' } end

if body then
  local former = cjson.decode(body).endpoint
  if former ~= endpoint then redis.call('HDEL', KEYS[3], former) end
end
revision = given or newest + 1
version = redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('HSET', KEYS[2], id, string.format('%.0f ', revision) .. json)
redis.call('HSET', KEYS[3], endpoint, id)
redis.call('HDEL', KEYS[5], id)
return { id, revision, version, body and 'updated' or 'created' }
