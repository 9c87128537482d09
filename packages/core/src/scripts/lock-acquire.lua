-- Takes a lock, or says for how long it is held. A token that holds the lock already renews it.
--
-- KEYS  1 string of the lock: 'token fence'  2 string of the last fence
-- ARGV  1 token  2 ttl in ms
-- Reply {1, fence}, or {0, ms until the holder's ttl ends}
--- @include "clock"
-- A key of another type, or text without a fence, is no lock of ours, and is overwritten.
local function text_of(key)
  local text = redis.pcall('GET', key)
  if type(text) == 'string' then return text end
  if text then redis.call('DEL', key) end
  return nil
end
local token, fence = string.match(text_of(KEYS[1]) or '', '^(%S+) (%d+)$')
if token == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return { 1, tonumber(fence) }
elseif token then
  return { 0, redis.call('PTTL', KEYS[1]) }
end
-- The fence is above the last one and not below the clock, so that it grows even if the last one was lost. The last
-- one is needed only while the clock may be behind it, as after a failover to a server whose clock is slow: for a day.
fence = math.max((tonumber(text_of(KEYS[2]) or 0) or 0) + 1, micros())
local text = string.format('%.0f', fence)
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. text, 'PX', ARGV[2])
redis.call('SET', KEYS[2], text, 'PX', string.format('%.0f', ARGV[2] + 86400000))
return { 1, fence }
