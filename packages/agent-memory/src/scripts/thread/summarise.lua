-- Puts a summary over the beginning of a thread, if no earlier record changed since it was planned. After
-- thread.lua.
--
-- ARGV  8 plan   9 seq up to which it covers   10 number of the summary before, 0 for none
--       11 version of the last change to earlier records, when it was planned   12 tokens   13 JSON
-- Reply {'done', …, number} or {'stale', …}
local number, last = 0, 0
local current = redis.call('HGET', thread, '_s')
if current then
  local blank = string.find(current, ' ', 1, true)
  number, last = tonumber(string.sub(current, 1, blank - 1)), tonumber(string.sub(current, blank + 1))
end
local to = tonumber(ARGV[9])
local done = redis.call('HGET', thread, '^' .. whole(number))
if done and string.match(done, '^[^|]*|[^|]*|[^|]*|([^\n]*)') == ARGV[8] then return reply('done', number) end
if number ~= tonumber(ARGV[10]) or edited ~= tonumber(ARGV[11]) or to <= last or to > newest then
  return reply('stale')
end
number = number + 1
local head = { whole(to), ARGV[12], whole(now), ARGV[8] }
redis.call('HSET', thread, '^' .. whole(number), table.concat(head, '|') .. '\n' .. ARGV[13],
  '_s', whole(number) .. ' ' .. whole(to))
-- Keeps the previous summary, which a shorter fork may need, and removes the one before it.
redis.call('HDEL', thread, '^' .. whole(number - 2))
save(true)
return reply('done', number)
