-- Slots of a concurrency that their holders renew.
--         renew    cell, id, slots, 1 to hold them even if they were lost
-- Reply   renew    1, or 0 if a slot was lost and is not held again
function operations.renew()
  local cell, id, held, adopting = cellAt(word()), word(), word(), word() == 1
  local kept = cell.kind.renew(cell, id, held)
  if not kept and adopting then cell.kind.charge(cell, now, held, id) end
  answer((kept or adopting) and 1 or 0)
end
