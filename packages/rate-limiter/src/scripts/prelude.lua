-- What every kind of limit is built on: the arguments in order, the time, and the table of kinds.
--
-- A kind has: load(cell), admits(cell, cost, most, id), earliest(cell, cost, most, from), charge(cell, when, cost, id),
-- refund(cell, when, cost, id), remaining(cell, extra, most), resetAt(cell, extra), spare(cell, leaseMs),
-- lower(cell, remaining, resetMs) and save(cell). A cell is one limit of one subject; it is loaded once and saved
-- once, however many operations of the call touch it. All numbers are whole and below 2^53, so that
-- src/algorithms comes to the same answers.
local position = 0
local function word()
  position = position + 1
  return ARGV[position]
end
local function number() return tonumber(word()) end
local function whole(value) return string.format('%.0f', value) end

local now = number()
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A booked call may start this much later than its time; it is charged as of the end of that slack.
local slackMs = 50

local kinds = {}
