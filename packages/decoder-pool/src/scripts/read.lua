-- Returns what changed since a version, as of one moment, or everything if the log does not reach back that far.
--
-- KEYS  as put.lua
-- ARGV  1 a new epoch, used if there is none  2 epoch and 3 version of the caller, or ''
--       4 the time in µs for tests, or '' for the server's  5 ms to keep what is left of a pool without nodes
-- Reply {epoch, version, 1 if this is everything, {id, 'revision json', …}, {removed id, revision, …},
--        {id, ms since its lease ended, …}, time in ms}
--- @include "clock"
local epoch = redis.call('HGET', KEYS[1], 'epoch')
-- Written only if there is none, because a read must also work on a server that accepts no writes.
if not epoch then
  epoch = ARGV[1]
  redis.call('HSET', KEYS[1], 'epoch', epoch)
end
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or 0)

-- Keeps a pool without nodes for its followers. A server that accepts no writes may refuse that.
if redis.call('EXISTS', KEYS[2]) == 0 then
  for _, key in ipairs(KEYS) do
    if redis.call('PTTL', key) < ARGV[5] / 2 then redis.pcall('PEXPIRE', key, ARGV[5]) end
  end
end

local now = math.floor(micros(ARGV[4]) / 1000)
local expired = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'WITHSCORES')
for index = 2, #expired, 2 do expired[index] = now - tonumber(expired[index]) end

local since = ARGV[2] == epoch and tonumber(ARGV[3]) or version + 1
local count = version - since
if count == 0 then return { epoch, version, 0, {}, {}, expired, now } end
if count > 0 and count <= 200 then
  -- Each change has one entry, {stream id, {'version', …, 'id', …, 'removal', …}}, newest first.
  local entries = redis.call('XREVRANGE', KEYS[6], '+', '-', 'COUNT', count)
  local isWhole = #entries == count and tonumber(entries[count][2][2]) == since + 1
  local nodes, removed, seen = {}, {}, {}
  for index = 1, isWhole and count or 0 do
    local id, removal = entries[index][2][4], entries[index][2][6]
    if not seen[id] then
      seen[id] = true
      local stored = redis.call('HGET', KEYS[2], id)
      local list = stored and nodes or removed
      list[#list + 1] = id
      list[#list + 1] = stored or removal
      -- The node was registered but is missing: it was lost, not removed, and the caller may still know it.
      if not stored and removal == '' then isWhole = false end
    end
  end
  if isWhole then return { epoch, version, 0, nodes, removed, expired, now } end
end
return {
  epoch,
  version,
  1,
  redis.call('HGETALL', KEYS[2]),
  redis.call('ZRANGE', KEYS[5], 0, -1, 'WITHSCORES'),
  expired,
  now,
}
