-- The reply, and the decision of most calls: about one limit of one subject.
local reply = { now }

local function answer(value) reply[#reply + 1] = value end

local function answerDenied(cell, cost, most, admitted)
  answer(admitted and 1 or 0)
  answer(cell.kind.remaining(cell, 0, most))
  answer(admitted and 0 or cell.kind.earliest(cell, cost, most, now) - now)
  answer(cell.kind.resetAt(cell, 0) - now)
end

local function decideOne(cell, cost)
  local kind, limit = cell.kind, cell.limit
  local admitted = kind.admits(cell, cost, limit, '')
  if admitted and cell.blocked <= now then
    if cost > 0 then kind.charge(cell, now, cost, '') end
    local at = #reply
    reply[at + 1], reply[at + 2], reply[at + 3] = 1, kind.remaining(cell, 0, limit), kind.resetAt(cell, 0) - now
  else
    answer(0)
    answer(math.max(0, cell.blocked - now))
    answer(0)
    answerDenied(cell, cost, limit, admitted)
  end
end
