-- summarise: what the oldest turns of a session came to, kept with it in few words.

-- KEYS: prefix. ARGV: session, tenant, id of the last turn that the summary covers, summary, how many messages had been
-- taken out when its turns were read. Answers OK | KNOWN (the one there covers as much) | UNKNOWN (no such session of the
-- tenant) | UNWANTED (it is not to be summarised, or no more; or it may tell of a message that was taken out since).
local function summarise(keys, args)
    local session = session_key(keys[1], args[1])
    local found = read(session, 'tenant', 'summarize', 'summary_until', 'unsaid')
    if found.tenant ~= args[2] then return { 'UNKNOWN' } end
    if found.summarize ~= '1' or (found.unsaid or '0') ~= args[5] then return { 'UNWANTED' } end
    if found.summary_until and not behind(args[3], found.summary_until) then return { 'KNOWN' } end
    redis.call('HSET', session, 'summary', args[4], 'summary_until', args[3])
    hint(keys[1], args[1])
    return { 'OK' }
end
