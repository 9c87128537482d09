-- Writes a piece of an answer that is still being made, or its end.
--
-- KEYS  1 stream of the pieces: entry <number>-0 with d and text, the last one with e   2 hash of the owner's drafts
-- ARGV  1 token of the writer   2 ms for which the draft stays   3 number of the piece   4 text
--       5 1 for the end   6 name of the draft in the hash
-- Reply 'written', 'fenced' when another took the draft over, 'gone' when it ended or its time is over
-- The hash holds by name: token|ms of the last piece
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HGET', KEYS[2], ARGV[6])
if not known and (ARGV[3] ~= '1' or redis.call('EXISTS', KEYS[1]) == 1) then return 'gone' end
if known and string.match(known, '^[^|]*') ~= ARGV[1] then return 'fenced' end
local field = ARGV[5] == '1' and 'e' or 'd'
-- A piece that comes again is there: the id of an entry only rises.
redis.pcall('XADD', KEYS[1], ARGV[3] .. '-0', field, ARGV[4])
if ARGV[5] == '1' then
  redis.call('HDEL', KEYS[2], ARGV[6])
  -- Readers that are behind still find the rest.
  redis.call('PEXPIRE', KEYS[1], math.min(60000, tonumber(ARGV[2])))
else
  redis.call('HSET', KEYS[2], ARGV[6], ARGV[1] .. '|' .. string.format('%.0f', now))
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
end
return 'written'
