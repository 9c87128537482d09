-- Charges of an outage, and refunds of bookings and of leased units.
--         merge    cell, index of the key of its marker, sequence, count, then each: age ms, cost
--         giveBack cell, units, when they were charged
function operations.merge()
  local cell, marker, sequence, count = cellAt(word()), KEYS[word()], word(), word()
  local isNew = tonumber(redis.call('GET', marker) or 0) < sequence
  local oldest = 0
  for _ = 1, count do
    local age, cost = word(), word()
    oldest = math.max(oldest, age)
    if isNew then cell.kind.charge(cell, now - age, cost, '') end
  end
  if not isNew then return end
  -- Kept for as long as the charges count: a window, or the time in which the whole bucket is refilled.
  local span = cell.span or math.ceil(cell.limit * cell.b / cell.a)
  redis.call('SET', marker, sequence, 'PX', string.format('%d', math.max(60000, span + oldest)))
end

function operations.giveBack()
  local cell, units, chargedAt = cellAt(word()), word(), word()
  cell.kind.refund(cell, chargedAt, units, '')
end
