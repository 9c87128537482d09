-- The time and the table of kinds, which every kind of limit uses. The file before this one sets `given`: now in ms for
-- tests, 0 for the server's own clock.
--
-- A kind has: load(cell), admits(cell, cost, most, id), earliest(cell, cost, most, from), charge(cell, when, cost, id),
-- remaining(cell, extra, most), resetAt(cell, extra) and save(cell); for operations other than a plain decision also
-- book(cell, when), refund(cell, when, cost, id), spare(cell, leaseMs) and lower(cell, remaining, resetMs). A cell is one
-- limit of one subject; it is loaded once and saved once, however many operations of the call touch it. Every kind
-- keeps cell.blocked: until when all calls are denied. All numbers are whole and below 2^53, so that src/algorithms
-- gives the same answers.
--- @include "clock"
local now = given == 0 and now() or given

-- A booked call may start this much later than its time; it is charged as of the end of that slack.
local slackMs = 50

local kinds = {}
