-- What a token bucket needs for more than plain decisions.
function bucket.book() end

-- The booking may have been merged into a later one, so the later ones are reduced.
function bucket.refund(cell, when, cost)
  refill(cell, now)
  cell.dirty = true
  local units, left = cost * cell.b, {}
  for place = 1, #cell.bookings, 2 do
    local at, booked = cell.bookings[place], cell.bookings[place + 1]
    if when > now and at >= when and units > 0 then
      local given = math.min(units, booked)
      booked, units, cell.booked = booked - given, units - given, cell.booked - given
    end
    if booked > 0 then left[#left + 1], left[#left + 2] = at, booked end
  end
  cell.bookings = left
  cell.level = math.max(0, cell.level - units)
end

function bucket.spare(cell)
  return math.floor((cell.limit * cell.b - cell.level - cell.booked) / cell.b)
end

function bucket.lower(cell, remaining)
  refill(cell, now)
  local wanted = cell.limit * cell.b - remaining * cell.b
  if wanted > cell.level then cell.level, cell.dirty = wanted, true end
end
