-- Creates a session, writes fields of it, or prolongs it.
--
-- KEYS  1 hash of the session   2 sorted set of the user's sessions by end, ms
-- ARGV  1 now in ms for tests, '' for the server's clock   2 ttl in ms   3 ms until its end for good, '' for none
--       4 1 to create it when it is not there   5 version that it must have, '' for any
--       6 user, '' for none   7 name in the sorted set   8 token of this write, '' for none
--       9 number of fields to remove, their names; then names and values as JSON
-- Reply {'done', version}, {'gone'} when there is none or it was destroyed, {'conflict', version}
-- Fields: _v version  _c created  _x end for good, ms  _u user  _d destroyed  _o latest tokens  $<name> JSON
local session = KEYS[1]
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local function whole(number) return string.format('%.0f', number) end
local meta = redis.call('HMGET', session, '_v', '_d', '_x', '_o', '_u')
if meta[2] or (not meta[1] and ARGV[4] ~= '1') then return { 'gone' } end
local version, token, tokens = tonumber(meta[1] or 0), ARGV[8], meta[4] or ''
if token ~= '' and string.find(tokens, token, 1, true) then return { 'done', version } end
if ARGV[5] ~= '' and tonumber(ARGV[5]) ~= version then return { 'conflict', version } end

local ends = tonumber(meta[3])
if not meta[1] then
  redis.call('HSET', session, '_c', whole(now))
  if ARGV[6] ~= '' then redis.call('HSET', session, '_u', ARGV[6]) end
  if ARGV[3] ~= '' then
    ends = now + tonumber(ARGV[3])
    redis.call('HSET', session, '_x', whole(ends))
  end
end
local removed = tonumber(ARGV[9])
for index = 10, 9 + removed do redis.call('HDEL', session, '$' .. ARGV[index]) end
for index = 10 + removed, #ARGV, 2 do redis.call('HSET', session, '$' .. ARGV[index], ARGV[index + 1]) end
if removed > 0 or #ARGV > 9 + removed or not meta[1] then
  version = version + 1
  if token ~= '' then
    if #tokens > 500 then tokens = string.sub(tokens, -400) end
    redis.call('HSET', session, '_o', tokens .. token .. ' ')
  end
  redis.call('HSET', session, '_v', whole(version))
end
local left = tonumber(ARGV[2])
if ends then left = math.max(1, math.min(left, ends - now)) end
redis.call('PEXPIRE', session, whole(left))
local user = meta[5]
if not meta[1] and ARGV[6] ~= '' then user = ARGV[6] end
if user then
  redis.call('ZADD', KEYS[2], whole(now + left), ARGV[7])
  if redis.call('PTTL', KEYS[2]) < left then redis.call('PEXPIRE', KEYS[2], whole(left)) end
end
return { 'done', version }
