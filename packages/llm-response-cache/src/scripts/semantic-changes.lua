-- Returns what changed in a place since a reader last looked, for its copy of the rows.
--
-- KEYS  as semantic-add.lua
-- ARGV  1 generation that the reader knows  2 last change that it has seen  3 maximum of rows
-- Reply {generation, change reached, 1 if there is more, server's time in ms, maximum of rows of the place,
--        {id, end in ms, sheet or '', vector or '', observations, …}}
-- Rows beyond the maximum are dropped without a change: the reader applies the same maximum by the same rule.
-- If the generation is not the reader's, the reader starts from nothing; an empty sheet means that the row is gone.
--- @include "clock"
local meta = redis.call('HMGET', KEYS[6], 'generation', 'change', 'most')
local generation, last = meta[1] or '', tonumber(meta[2] or 0)
local bound = tonumber(meta[3] or 0)
local since = generation == ARGV[1] and tonumber(ARGV[2]) or 0
local now = now()
if since == last then return { generation, last, 0, now, bound, {} } end

local most = tonumber(ARGV[3])
local found = redis.call('ZRANGEBYSCORE', KEYS[5], '(' .. since, '+inf', 'WITHSCORES', 'LIMIT', 0, most)
local rows = {}
for index = 1, #found, 2 do
  local id, at = found[index], #rows
  rows[at + 1] = id
  rows[at + 2] = redis.call('ZSCORE', KEYS[4], id) or '0'
  rows[at + 3] = redis.call('HGET', KEYS[1], id) or ''
  rows[at + 4] = redis.call('HGET', KEYS[3], id) or ''
  rows[at + 5] = redis.call('HGET', KEYS[2], id) or ''
end
if #found < most * 2 then return { generation, last, 0, now, bound, rows } end
return { generation, tonumber(found[#found]), 1, now, bound, rows }
