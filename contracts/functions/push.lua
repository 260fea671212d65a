-- push: another service's message becomes part of a session, once.

local LOOKED_BACK = 100

-- The entry of a push whose record was torn off before it named one.
local function pushed_before(p, session, publisher, id)
    for _, entry in ipairs(redis.call('XREVRANGE', turns_key(p, session), '+', '-', 'COUNT', LOOKED_BACK)) do
        local _, kind, _, by, _, its_id = unpack(entry[2])
        if kind == 'push' and by == publisher and its_id == id then return entry[1] end
    end
    return nil
end

-- KEYS: prefix, record of the push's id. ARGV: session, tenant, publisher, id, fingerprint, text, metadata as JSON,
-- seconds for which its id is known, length of the session's stream. Answers OK entry | EXISTING entry | CONFLICT |
-- UNKNOWN (no such session of the tenant).
--
-- The order heals: the record, the entry, the entry's name in the record. Torn after the first, the message is not
-- there and a repetition writes it; torn after the second, a repetition finds it in the session.
local function push(keys, args)
    local p, record = keys[1], keys[2]
    local session, tenant, publisher, id, fingerprint, text, metadata, seconds, length = unpack(args, 1, 9)
    local known = read(record, 'fingerprint', 'entry')
    if known.fingerprint and known.fingerprint ~= fingerprint then return { 'CONFLICT' } end
    if known.entry then return { 'EXISTING', known.entry } end
    if redis.call('HGET', session_key(p, session), 'tenant') ~= tenant then return { 'UNKNOWN' } end
    local entry = known.fingerprint and pushed_before(p, session, publisher, id)

    redis.call('HSET', record, 'fingerprint', fingerprint)
    redis.call('EXPIRE', record, seconds)
    entry = entry or enter_turn(p, session, length,
        'type', 'push', 'publisher', publisher, 'id', id, 'text', text, 'metadata', metadata)
    redis.call('HSET', record, 'entry', entry)
    return { 'OK', entry }
end
