-- Runs the operations one by one, then saves each cell that changed.
local count = #words
while position < count do operations[word()]() end
for _, cell in ipairs(cells) do
  if cell.dirty then cell.kind.save(cell) end
end
return reply
