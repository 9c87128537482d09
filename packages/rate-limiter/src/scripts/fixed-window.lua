-- Fixed window: one packed string with start and count of the current window, and, if there are any, until when the
-- subject is blocked (or 0), and later windows in which calls are booked: a flat list of start and count.
-- a: window ms, b: 1 if windows start at multiples of their length, 0 if they start with their first charge.
--- @include "sorted-pairs"
local fixed = { keys = 1 }
kinds['fixed-window'] = fixed

function fixed.load(cell)
  cell.span, cell.count, cell.blocked, cell.later = cell.a, 0, 0, {}
  cell.start = cell.b == 1 and now - now % cell.a or now
  local stored = redis.call('GET', cell.key)
  if not stored then return end
  local start, count, blocked, later = cmsgpack.unpack(stored)
  cell.blocked = blocked or 0
  -- A window without charges is replaced, so that with b = 0 the next one starts with its first charge.
  if count == 0 and not later then return end
  if start + cell.span > now then
    cell.start, cell.count, cell.later = start, count, later or {}
  elseif later then
    fixed.moveOn(cell, start, later)
  else
    cell.ended = start + cell.span
  end
end

-- The current window is over, and calls are booked in later ones, which continue the grid of the current one.
function fixed.moveOn(cell, start, later)
  for place = 1, #later, 2 do
    if later[place] + cell.span > now then cell.later[#cell.later + 1], cell.later[#cell.later + 2] = later[place], later[place + 1] end
  end
  local first = cell.later[1]
  if not first then
    cell.ended = later[#later - 1] + cell.span
  elseif first <= now then
    cell.start, cell.count = first, cell.later[2]
    table.remove(cell.later, 1)
    table.remove(cell.later, 1)
  else
    cell.start = now - (now - start) % cell.span
  end
end

function fixed.admits(cell, cost, most)
  if cost == 0 then return cell.count <= most end
  return cell.start <= now and #cell.later == 0 and cell.count + cost <= most
end

function fixed.earliest(cell, cost, most, from)
  local start, count = cell.start, cell.count
  if #cell.later > 0 then start, count = cell.later[#cell.later - 1], cell.later[#cell.later] end
  local at = math.max(from, start)
  if at < start + cell.span and count + cost > most then at = start + cell.span end
  -- A call that starts late must not fall into the next window.
  local own = at - (at - start) % cell.span
  return at + slackMs < own + cell.span and at or own + cell.span
end

function fixed.charge(cell, when, cost)
  -- A charge of an outage may be the first one of its window, which then starts with it.
  if cell.b == 0 and cell.count == 0 and #cell.later == 0
    and when < cell.start and when > now - cell.span and when >= (cell.ended or 0) then
    cell.start = when
  end
  if when < cell.start then return end
  cell.dirty = true
  if when < cell.start + cell.span then
    cell.count = cell.count + cost
    return
  end
  addAt(cell.later, when - (when - cell.start) % cell.span, cost)
end

function fixed.remaining(cell, extra, most)
  return (cell.start > now or #cell.later > 0) and 0 or math.max(0, most - cell.count - extra)
end

function fixed.resetAt(cell, extra)
  if #cell.later > 0 then return cell.later[#cell.later - 1] + cell.span end
  return cell.count + extra == 0 and now or cell.start + cell.span
end

function fixed.save(cell)
  local last = #cell.later > 0 and cell.later[#cell.later - 1] or cell.start
  local ttl = math.max(1, last + cell.span - now, cell.blocked - now)
  local blocked = cell.blocked > now and cell.blocked or 0
  local value
  if #cell.later > 0 then
    value = cmsgpack.pack(cell.start, cell.count, blocked, cell.later)
  elseif blocked > 0 then
    value = cmsgpack.pack(cell.start, cell.count, blocked)
  elseif cell.count == 0 then
    redis.call('DEL', cell.key)
    return
  else
    value = cmsgpack.pack(cell.start, cell.count)
  end
  redis.call('SET', cell.key, value, 'PX', ttl)
end
