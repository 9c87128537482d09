-- The operations one by one; then every cell that changed is saved.
local count = #words
while position < count do operations[word()]() end
for _, cell in ipairs(cells) do
  if cell.dirty then cell.kind.save(cell) end
end
return reply
