-- The parts of a draft's value in the hash of a thread's drafts (drafts/write.lua): token of its writer, ms of the last
-- write, µs of its beginning, generation of the thread then, and 'o' or 'e'; nil for none.
local function draftFrom(text)
  return string.match(text or '', '^([^|]*)|(%d+)|(%d+)|(%d+)|([oe])$')
end
