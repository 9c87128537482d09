-- Removes one message. After thread.lua and records.lua.
--
-- ARGV  8 its id
-- Reply {'done', …, seq} or {'missing', …}
local seq, _, record = find(ARGV[8])
if not record then return reply('missing') end
drop(seq, record)
save(true)
return reply('done', seq)
