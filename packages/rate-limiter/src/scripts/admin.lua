-- What a provider or an operator decides about a limit.
--         learn    cell, remaining, ms to reset
--         block    cell, ms, or 0 to end it
function operations.learn()
  local cell, remaining, resetMs = cellAt(word()), word(), word()
  cell.kind.lower(cell, remaining, resetMs)
end

function operations.block()
  local cell, ms = cellAt(word()), word()
  cell.blocked, cell.dirty = ms > 0 and now + ms or 0, true
end
