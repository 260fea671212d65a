-- summarise: what the oldest turns of a session came to, kept with it in few words.

-- Whether stream id `one` stands behind `other`.
local function behind(one, other)
    local ms, number = string.match(one, '^(%d+)-(%d+)$')
    local other_ms, other_number = string.match(other, '^(%d+)-(%d+)$')
    if ms ~= other_ms then return tonumber(ms) > tonumber(other_ms) end
    return tonumber(number) > tonumber(other_number)
end

-- KEYS: prefix. ARGV: session, tenant, id of the last turn that the summary covers, summary. Answers OK | KNOWN (the one
-- there covers as much) | UNKNOWN (no such session of the tenant) | UNWANTED (it is not to be summarised, or no more).
local function summarise(keys, args)
    local session = session_key(keys[1], args[1])
    local found = read(session, 'tenant', 'summarize', 'summary_until')
    if found.tenant ~= args[2] then return { 'UNKNOWN' } end
    if found.summarize ~= '1' then return { 'UNWANTED' } end
    if found.summary_until and not behind(args[3], found.summary_until) then return { 'KNOWN' } end
    redis.call('HSET', session, 'summary', args[4], 'summary_until', args[3])
    hint(keys[1], args[1])
    return { 'OK' }
end
