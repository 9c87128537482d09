-- What a token bucket needs for more than plain decisions.
function bucket.book() end

function bucket.refund(cell, _, cost)
  refill(cell, now)
  cell.level, cell.dirty = math.max(0, cell.level - cost * cell.b), true
end

function bucket.spare(cell, leaseMs)
  return math.floor((cell.limit * cell.b - math.max(cell.level, cell.a * leaseMs)) / cell.b)
end

function bucket.lower(cell, remaining)
  refill(cell, now)
  local wanted = cell.limit * cell.b - remaining * cell.b
  if wanted > cell.level then cell.level, cell.dirty = wanted, true end
end
