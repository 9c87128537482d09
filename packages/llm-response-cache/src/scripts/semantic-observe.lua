-- Adds an observation, a line of text, to a row if the row exists. May be repeated.
--
-- KEYS  as semantic-add.lua
-- ARGV  1 id of the row  2 id of the observation  3 its line  4 maximum of observations  5 'set' or 'hash'
-- Reply 1 if this call added it
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
local seen = redis.call('HGET', KEYS[2], ARGV[1]) or ''
local lines = {}
for line in string.gmatch(seen, '[^\n]+') do
  if string.sub(line, 1, #ARGV[2] + 1) == ARGV[2] .. ' ' then return 0 end
  lines[#lines + 1] = line
end
lines[#lines + 1] = ARGV[3]
local first = math.max(1, #lines - tonumber(ARGV[4]) + 1)
redis.call('HSET', KEYS[2], ARGV[1], table.concat(lines, '\n', first))
local ttl = redis.call('PEXPIRETIME', KEYS[1])
if ttl > 0 then redis.call('PEXPIREAT', KEYS[2], string.format('%.0f', ttl)) end
if ARGV[5] == 'hash' then redis.call('ZADD', KEYS[5], redis.call('HINCRBY', KEYS[6], 'change', 1), ARGV[1]) end
return 1
