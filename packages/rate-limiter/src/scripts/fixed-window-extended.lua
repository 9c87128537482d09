-- What a fixed window needs for more than plain decisions.
function fixed.book() end

function fixed.refund(cell, when, cost)
  -- An empty window has nothing to refund, and must not be saved: it would replace the previous window, from which
  -- `load` reads when that one ended.
  if cell.count == 0 and #cell.later == 0 then return end
  cell.dirty = true
  if when >= cell.start and when < cell.start + cell.span then cell.count = math.max(0, cell.count - cost) end
  local left = {}
  for place = 1, #cell.later, 2 do
    local start, count = cell.later[place], cell.later[place + 1]
    if when >= start and when < start + cell.span then count = count - cost end
    if count > 0 then left[#left + 1], left[#left + 2] = start, count end
  end
  cell.later = left
end

function fixed.spare(cell, leaseMs)
  if cell.start > now or #cell.later > 0 or now + leaseMs >= cell.start + cell.span then return 0 end
  return cell.limit - cell.count
end

function fixed.lower(cell, remaining)
  local excess = cell.limit - cell.count - remaining
  if excess > 0 then fixed.charge(cell, math.max(now, cell.start), excess) end
end
