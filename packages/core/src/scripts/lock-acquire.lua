-- Takes a lock, or tells for how long it is held. The same token again refreshes what it holds.
--
-- KEYS  1 string of the lock: 'token fence'  2 string of the last fence
-- ARGV  1 token  2 ttl in ms
-- Reply {1, fence}, or {0, ms until the holder's ttl ends}
local held = redis.call('GET', KEYS[1])
if held then
  local space = string.find(held, ' ', 1, true)
  if string.sub(held, 1, space - 1) ~= ARGV[1] then return { 0, redis.call('PTTL', KEYS[1]) } end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return { 1, tonumber(string.sub(held, space + 1)) }
end
-- Grows from the last one, and from the clock, so that it also grows when the last one was lost.
local time = redis.call('TIME')
local fence = math.max((tonumber(redis.call('GET', KEYS[2]) or 0)) + 1, time[1] * 1000000 + time[2])
local text = string.format('%.0f', fence)
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. text, 'PX', ARGV[2])
redis.call('SET', KEYS[2], text)
return { 1, fence }
