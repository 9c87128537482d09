-- The arguments of single.lua.
local given = tonumber(ARGV[1])
