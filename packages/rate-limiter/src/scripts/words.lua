-- Reads the arguments of decide.lua in order.
local words, position = cjson.decode(ARGV[1]), 0
local function word()
  position = position + 1
  return words[position]
end
local given = word()
