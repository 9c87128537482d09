-- Reads the newest records of a thread, within bounds; or those since an earlier read. After head.lua.
--
-- KEYS  1 hash of the thread, as thread.lua describes   2 hash of the owner
-- ARGV  1 maximum of messages   2 of tokens   3 of turns
--       4 epoch, 5 version and 6 newest seq of what the reader has; '' for nothing
-- Reply {'same', generation} if nothing changed, otherwise
--       {'newer' or 'tail', generation, epoch, version, edited, newest, records in the thread,
--        from: every record from this seq on is in the reply, {seq, record, … newest first},
--        {pinned seq, record, …}, summary's number, summary, {seq, record} of the newest message of a user if it is
--        not among the records, tokens of the record that did not fit if it makes or answers tool calls}; the last five
--        only with 'tail'
local thread = KEYS[1]
local meta = redis.call('HMGET', thread, '_m', '_g', '_s')
local epoch, version, edited, newest, count, _, stored, _, _, _, _, _, pins = headFrom(liveHead(meta[1], KEYS[2]))
local generation = tonumber(meta[2] or 0) + tonumber(redis.call('HGET', KEYS[2], 'g') or 0)
epoch, version, edited, newest, count = epoch or '', version or 0, edited or 0, newest or 0, count or 0
local floor = 1
local known = ARGV[4] ~= '' and ARGV[4] == epoch and tonumber(ARGV[5])
if known == version then return { 'same', generation } end

local summary, number
if meta[3] and epoch ~= '' then
  local blank = string.find(meta[3], ' ', 1, true)
  number = string.sub(meta[3], 1, blank - 1)
  floor = tonumber(string.sub(meta[3], blank + 1)) + 1
end
local since = known and known >= edited and tonumber(ARGV[6]) + 1
if since and since > floor then floor = since else since = nil end

local most, budget, turns = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local records, found, tokens, seq, from, firstTurn = {}, 0, 0, newest, newest + 1, nil
local full, cut = false, 0
-- The same as maxWindowBytes of replica/read.ts: a longer reply would delay all others of its connection.
local maxBytes, bytes = 16777216, 0
-- If much was removed, a window is short rather than slow; and no damaged head makes the loop run without end.
local left = math.min(4 * most, 1000000) + 20000
-- Reads in pieces, smaller ones in a thread of large messages, so that a small budget reads little.
local piece = math.max(1, math.min(50, math.floor(1048576 * math.max(count, 1) / math.max(stored or 0, 1))))
while seq >= floor and found < most and not full do
  if left <= 0 then
    full = true
    break
  end
  left = left - piece
  local last = math.max(floor, seq - math.min(piece - 1, most - found - 1))
  local names = {}
  for index = seq, last, -1 do names[#names + 1] = string.format('%.0f', index) end
  for index, record in ipairs(redis.call('HMGET', thread, unpack(names))) do
    if record then
      local size, turn = string.match(record, '^[^|]*|[^|]*|(%d+)|[^|]*|(%d+)|')
      firstTurn = firstTurn or tonumber(turn)
      tokens = tokens + tonumber(size)
      bytes = bytes + #record
      if tokens > budget or tonumber(turn) <= firstTurn - turns or (bytes > maxBytes and found > 0) then
        full = true
        local opens, answers = string.match(record, '|([^|\n]*)|([^|\n]*)\n')
        if tokens > budget and (opens ~= '' or answers ~= '') then cut = tonumber(size) end
        break
      end
      found = found + 1
      records[#records + 1] = tonumber(names[index])
      records[#records + 1] = record
      from = tonumber(names[index])
    end
  end
  seq = last - 1
end
local isAll = not full and found < most
-- The newest message of a user that answers no tool call, if it is before the records of a long run of an agent.
local asked, hasAsked = {}, false
local function asks(record)
  local role, answers = string.match(record, '^[^|]*|([^|]*)|[^\n]*|([^|\n]*)\n')
  return role == 'user' and answers == ''
end
for index = 2, #records, 2 do
  if asks(records[index]) then
    hasAsked = true
    break
  end
end
local below, looks = from - 1, 0
while not since and not hasAsked and below >= floor and looks < 1000 do
  local record = redis.call('HGET', thread, string.format('%.0f', below))
  if record and asks(record) then
    asked, hasAsked = { below, record }, true
  end
  below, looks = below - 1, looks + 1
end
if since and isAll then
  return { 'newer', generation, epoch, version, edited, newest, count, floor, records }
end
-- If all records that no summary covers are in the reply, nothing is missing before them.
if isAll then from = 1 end

local pinned = {}
for one in string.gmatch(pins or '', '%d+') do
  local record = redis.call('HGET', thread, one)
  if record then
    pinned[#pinned + 1] = tonumber(one)
    pinned[#pinned + 1] = record
  end
end
if number then summary = redis.call('HGET', thread, '^' .. number) end
return { 'tail', generation, epoch, version, edited, newest, count, from, records, pinned,
  tonumber(number or 0), summary or '', asked, cut }
