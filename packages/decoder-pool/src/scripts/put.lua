-- Registers or changes a node and renews its lease, in one step.
--
-- KEYS  1 hash meta: epoch, version      2 hash nodes: id to 'revision json'
--       3 hash endpoints: endpoint to id 4 sorted set leases: id, expiry in ms
--       5 sorted set removed: id, revision of its removal
--       6 stream log: version and id of each change, revision of a removal; the newest thousand or so
--       7 hash experiments (put-experiment.lua)
-- ARGV  1 id  2 endpoint  3 node as JSON, without its id  4 lease in ms  5 revision of a change made elsewhere, or ''
--       6 maximum number of nodes  7 the time in µs for tests, or '' for the server's
--       8 revision that the change was made from, or ''
-- Reply {id, revision, version, outcome}
--- @include "clock"
local id, endpoint, json, given = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[5])
local known = redis.call('HGET', KEYS[3], endpoint)
-- The same endpoint twice is one node, under the id that it had first.
if known then id = known end

local stored = redis.call('HGET', KEYS[2], id)
local revision, body = 0, nil
if stored then
  local space = string.find(stored, ' ', 1, true)
  local number = space and tonumber(string.sub(stored, 1, space - 1))
  -- A value that no script of ours wrote is overwritten.
  if number then revision, body = number, string.sub(stored, space + 1) end
end
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or 0)
local newest = math.max(revision, tonumber(redis.call('ZSCORE', KEYS[5], id) or 0))
local base = tonumber(ARGV[8])
if base and base ~= revision then return { id, revision, version, 'stale' } end
if given and given <= newest then return { id, revision, version, 'stale' } end
if not stored and redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[6]) then return { id, 0, version, 'full' } end

local micros = micros(ARGV[7])
redis.call('ZADD', KEYS[4], math.floor(micros / 1000) + ARGV[4], id)
if not given and body == json then return { id, revision, version, 'renewed' } end

if body then
  local isRead, former = pcall(cjson.decode, body)
  former = isRead and type(former) == 'table' and former.endpoint
  if former and former ~= endpoint then redis.call('HDEL', KEYS[3], former) end
end
-- The revision is a time, so that a registration after a loss of the data is newer than all before it.
revision = given or math.max(newest + 1, micros)
version = redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('HSET', KEYS[2], id, string.format('%.0f ', revision) .. json)
redis.call('HSET', KEYS[3], endpoint, id)
-- The first node of an empty pool, whose keys would otherwise expire.
if not stored and redis.call('HLEN', KEYS[2]) == 1 then
  for _, key in ipairs(KEYS) do redis.call('PERSIST', key) end
end
redis.call('ZREM', KEYS[5], id)
redis.call('XADD', KEYS[6], 'MAXLEN', '~', 1000, '*',
  'version', version, 'id', id, 'removal', '')
return { id, revision, version, body and 'updated' or 'created' }
