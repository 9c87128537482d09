-- Removes a node and remembers its removal, so that no older registration brings it back.
--
-- KEYS  as put.lua
-- ARGV  1 id  2 revision of a removal made elsewhere, or ''  3 maximum number of removals to remember
--       4 the time in µs for tests, or '' for the server's  5 ms to keep what is left of a pool without nodes
-- Reply {removed, revision of the removal, version}
--- @include "clock"
local id, given = ARGV[1], tonumber(ARGV[2])
local stored = redis.call('HGET', KEYS[2], id)
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or 0)
if not stored and not given then return { 0, 0, version } end

local revision, space = 0, nil
if stored then
  space = string.find(stored, ' ', 1, true) or 1
  revision = tonumber(string.sub(stored, 1, space - 1)) or 0
end
local newest = math.max(revision, tonumber(redis.call('ZSCORE', KEYS[5], id) or 0))
if given and given <= newest then return { 0, 0, version } end

revision = given or math.max(newest + 1, micros(ARGV[4]))
redis.call('ZADD', KEYS[5], string.format('%.0f', revision), id)
redis.call('ZREMRANGEBYRANK', KEYS[5], 0, -1 - ARGV[3])
if not stored then
  if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('PEXPIRE', KEYS[5], ARGV[5]) end
  return { 0, revision, version }
end

redis.call('HDEL', KEYS[2], id)
-- A value that no script of ours wrote may name no endpoint.
local isRead, node = pcall(cjson.decode, string.sub(stored, space + 1))
if isRead and type(node) == 'table' and node.endpoint then redis.call('HDEL', KEYS[3], node.endpoint) end
redis.call('ZREM', KEYS[4], id)
version = redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('XADD', KEYS[6], 'MAXLEN', '~', 1000, '*',
  'version', version, 'id', id, 'removal', string.format('%.0f', revision))
if redis.call('EXISTS', KEYS[2]) == 0 then
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[5]) end
end
return { 1, revision, version }
