-- Creates a session, writes fields of it, or prolongs it.
--
-- KEYS  1 hash of the session
-- ARGV  1 now in ms for tests, '' for the server's clock   2 ttl in ms   3 ms until its latest end, '' for none
--       4 1 to create it if it does not exist, 2 also if it was destroyed   5 version that it must have, '' for any
--       6 user, '' to leave it as it is   7 1 to remove the fields that are not written   8 token of this write, '' for
--       none   9 maximum of fields   10 maximum of bytes of names and values
--       11 number of fields to remove, their names; then names and values as JSON
-- Reply {'done', version, ms until its end, user or '' if the end did not move by a tenth}, {'gone'} if there is none
--       or it was destroyed, {'conflict', version}, {'full'}
-- Fields: _v version  _c created  _x latest end, ms  _u user  _d destroyed  _o latest tokens  _b bytes of names
--         and values  $<name> JSON
--- @include "clock"
--- @include "whole"
local session = KEYS[1]
local now = now(ARGV[1])
local meta = redis.call('HMGET', session, '_v', '_d', '_x', '_o', '_u', '_b')
local revives = meta[2] and ARGV[4] == '2'
if revives then meta = {} end
if meta[2] or (not meta[1] and ARGV[4] == '0') then return { 'gone' } end
local version, token, tokens = tonumber(meta[1] or 0), ARGV[8], meta[4] or ''
local before = redis.call('PTTL', session)
if token ~= '' and string.find(tokens, token, 1, true) then return { 'done', version, math.max(before, 1), '' } end
if ARGV[5] ~= '' and tonumber(ARGV[5]) ~= version then return { 'conflict', version } end

local removed, writes = tonumber(ARGV[11]), {}
local bytes, fields, goes = tonumber(meta[6] or 0), 0, {}
for index = 12, 11 + removed do goes[#goes + 1] = '$' .. ARGV[index] end
for index = 12 + removed, #ARGV, 2 do writes['$' .. ARGV[index]] = ARGV[index + 1] end
if ARGV[7] == '1' then
  for _, name in ipairs(redis.call('HKEYS', session)) do
    if string.sub(name, 1, 1) == '$' and not writes[name] then goes[#goes + 1] = name end
  end
end
local function sizeOf(name)
  local size = redis.call('HSTRLEN', session, name)
  return size > 0 and size + #name or 0
end
for _, name in ipairs(goes) do bytes = bytes - sizeOf(name) end
for name, value in pairs(writes) do
  bytes = bytes - sizeOf(name) + #name + #value
  if redis.call('HEXISTS', session, name) == 0 then fields = fields + 1 end
end
local own = meta[1] and 2 or 0
for index = 3, 6 do own = own + (meta[index] and 1 or 0) end
local total = redis.call('HLEN', session) - own - (revives and 1 or 0) + fields
for _, name in ipairs(goes) do total = total - redis.call('HEXISTS', session, name) end
if fields > 0 and total > tonumber(ARGV[9]) then return { 'full' } end
if bytes > tonumber(ARGV[10]) and bytes > tonumber(meta[6] or 0) then return { 'full' } end

if revives then redis.call('UNLINK', session) end
local ends, user = tonumber(meta[3]), meta[5]
if not meta[1] then
  redis.call('HSET', session, '_c', whole(now))
  if ARGV[3] ~= '' then
    ends = now + tonumber(ARGV[3])
    redis.call('HSET', session, '_x', whole(ends))
  end
end
local isOther = ARGV[6] ~= '' and ARGV[6] ~= user
if isOther then
  user = ARGV[6]
  redis.call('HSET', session, '_u', user)
end
for _, name in ipairs(goes) do redis.call('HDEL', session, name) end
for name, value in pairs(writes) do redis.call('HSET', session, name, value) end
if #goes > 0 or next(writes) or isOther or not meta[1] then
  version = version + 1
  if token ~= '' then
    if #tokens > 500 then tokens = string.sub(tokens, -400) end
    redis.call('HSET', session, '_o', tokens .. token .. ' ')
  end
  redis.call('HSET', session, '_v', whole(version), '_b', whole(bytes))
end
local left = tonumber(ARGV[2])
if ends then left = math.max(1, math.min(left, ends - now)) end
redis.call('PEXPIRE', session, whole(left))
return { 'done', version, whole(left), user and (isOther or left - before > left / 10) and user or '' }
