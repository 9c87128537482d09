-- What a fixed window needs for more than plain decisions.
function fixed.book() end

function fixed.refund(cell, when, cost)
  if when < cell.start or when >= cell.start + cell.span then return end
  cell.count, cell.dirty = math.max(0, cell.count - cost), true
end

function fixed.spare(cell, leaseMs)
  if cell.start > now or now + leaseMs >= cell.start + cell.span then return 0 end
  return cell.limit - cell.count
end

function fixed.lower(cell, remaining)
  local excess = cell.limit - cell.count - remaining
  if excess > 0 then fixed.charge(cell, math.max(now, cell.start), excess) end
end
