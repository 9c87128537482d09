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
  if isNew then redis.call('SET', marker, sequence, 'PX', math.max(60000, cell.a + oldest)) end
end

function operations.giveBack()
  local cell, units, chargedAt = cellAt(word()), word(), word()
  cell.kind.refund(cell, chargedAt, units, '')
end
