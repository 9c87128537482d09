-- Puts an experiment, or remembers that it was removed.
-- KEYS  the experiments (a hash: id to "revision pair-of-the-active-one json"), the pool's nodes (put.lua)
-- ARGV  id, revision ('0': now), language pair if it is active ('' otherwise), the experiment as JSON ('' for a
--       removal), maximum number of experiments, ms to keep those of a pool without nodes
-- Reply {outcome: 'put' | 'stale' | 'overlap' | 'full' | 'none', revision that is known after it, 1 if there was one}
-- A call with a revision may be repeated.
--- @include "clock"
local known = redis.call('HGET', KEYS[1], ARGV[1])
local before, there = 0, 0
if known then
  before = tonumber(known:match('^(%d+)')) or 0
  if known:match('\n{') then there = 1 end
end
local revision = tonumber(ARGV[2])
if revision == 0 then
  if ARGV[4] == '' and there == 0 then return { 'none', string.format('%d', before), 0 } end
  revision = math.max(before + 1, micros())
end
if known and revision <= before then return { 'stale', string.format('%d', before), there } end
if ARGV[3] ~= '' then
  local all = redis.call('HGETALL', KEYS[1])
  for index = 1, #all, 2 do
    if all[index] ~= ARGV[1] and all[index + 1]:match('^%d+\n(.-)\n') == ARGV[3] then
      return { 'overlap', string.format('%d', before), there }
    end
  end
end
if not known and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[5]) then
  return { 'full', string.format('%d', before), there }
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d\n%s\n%s', revision, ARGV[3], ARGV[4]))
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
else
  redis.call('PERSIST', KEYS[1])
end
return { 'put', string.format('%d', revision), there }
