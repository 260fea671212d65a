-- say, unsay, adopt: what else happens to a session's turns, and whose they are.
--
-- A turn is named by its first entry, whether that is still there or not: a finished one says its name. So one entry can
-- be taken out, and the others keep theirs.

local PAGE = 100

-- An entry's fields by name.
local function said(entry)
    local found = {}
    for at = 1, #entry[2], 2 do found[entry[2][at]] = entry[2][at + 1] end
    return found
end

-- The question that was put in from outside and is still open: the last entry, or nothing.
local function open_question(p, session)
    local last = redis.call('XREVRANGE', turns_key(p, session), '+', '-', 'COUNT', 1)[1]
    if not last then return nil end
    local entry = said(last)
    return entry.type == 'turn.started' and entry.request == '' and last[1] or nil
end

-- KEYS: prefix. ARGV: session, tenant, length of its stream, request and status of what ended before it was queued ('' and
-- done of what was said elsewhere); then 'user' or 'assistant', text of each message. An answer joins the question before
-- it. Answers the name of the first one's turn; nothing when the tenant has no such session.
-- Alone among the steps it has no name of its own to be known again by: repeated, it says the same twice.
local function say(keys, args)
    local p, session, tenant, length, request, status = keys[1], unpack(args, 1, 5)
    if redis.call('HGET', session_key(p, session), 'tenant') ~= tenant then return nil end
    local open, first = open_question(p, session), nil
    for at = 6, #args, 2 do
        local turn = open
        if args[at] == 'user' then
            turn = enter_turn(p, session, length, 'type', 'turn.started', 'request', request, 'text', args[at + 1])
            open = turn
        else
            local entry = enter_turn(p, session, length, 'type', 'turn.finished', 'request', request, 'status', status,
                'text', args[at + 1], 'turn', turn or '')
            turn, open = turn or entry, nil
        end
        first = first or turn
    end
    return first
end

-- Whether `entry` is what `role` said in a turn. `request` is that of its question, if that is still there.
local function is_of(id, entry, turn, role, request)
    if role == 'user' then return id == turn and entry.type == 'turn.started' end
    if entry.type == 'push' then return id == turn end
    if entry.type ~= 'turn.finished' then return false end
    local named = entry.turn or ''
    return named == turn or (named == '' and (id == turn or (request ~= '' and entry.request == request)))
end

-- Where `role` spoke in a turn: the entry, 'deleted' or nil; and the request that the turn belongs to, '' if there is none.
local function find_said(p, session, turn, role)
    local from, request = turn, ''
    while true do
        local page = redis.call('XRANGE', turns_key(p, session), from, '+', 'COUNT', PAGE)
        for _, one in ipairs(page) do
            local entry = said(one)
            if one[1] == turn then request = entry.request or '' end
            if is_of(one[1], entry, turn, role, request) then return one[1], entry.request or '' end
            if entry.type == 'item.deleted' and entry.turn == turn and entry.role == role then return 'deleted', '' end
        end
        if #page < PAGE then return nil, request end
        from = '(' .. page[PAGE][1]
    end
end

-- A summary that covers the turn has the message in other words: it is forgotten, and made anew of what is left. One that
-- is being made may have it too: it will not be kept, because the count has moved on (see summarise).
local function forget_summary_of(session, turn)
    redis.call('HINCRBY', session, 'unsaid', 1)
    local covered = read(session, 'summary_until').summary_until
    if covered and not behind(turn, covered) then redis.call('HDEL', session, 'summary', 'summary_until') end
end

-- KEYS: prefix. ARGV: session, tenant, length of its stream, turn, role. Take out what one of the two said in a turn, and
-- say so to those who follow. Answers OK (also when that was done before) | RUNNING request (which answers the turn) |
-- UNKNOWN.
--
-- Torn behind the summary, the message is still there, and a repetition takes it out. Torn behind the message, it is gone,
-- and those who follow show it until they come again.
local function unsay(keys, args)
    local p, session, tenant, length, turn, role = keys[1], unpack(args, 1, 5)
    if redis.call('HGET', session_key(p, session), 'tenant') ~= tenant then return { 'UNKNOWN' } end
    local entry, request = find_said(p, session, turn, role)
    if request ~= '' and busy_with(p, session, '') == request then return { 'RUNNING', request } end
    if not entry then return { 'UNKNOWN' } end
    if entry ~= 'deleted' then
        forget_summary_of(session_key(p, session), turn)
        redis.call('XDEL', turns_key(p, session), entry)
        enter_turn(p, session, length, 'type', 'item.deleted', 'request', request, 'turn', turn, 'role', role)
    end
    return { 'OK' }
end

-- KEYS: prefix, nobody's sessions, the user's sessions. ARGV: session, tenant, user. A session that was made for nobody
-- becomes the user's. Answers whose it is now; nothing when the tenant has no such session.
local function adopt(keys, args)
    local p, nobodys, theirs, session, tenant, user = keys[1], keys[2], keys[3], unpack(args, 1, 3)
    local key = session_key(p, session)
    local found = read(key, 'tenant', 'user')
    if found.tenant ~= tenant then return nil end
    if found.user then return found.user end
    redis.call('ZADD', theirs, redis.call('ZSCORE', nobodys, session) or now_ms() / 1000, session)
    local ends = math.max(redis.call('PEXPIRETIME', theirs), redis.call('PEXPIRETIME', key))
    if ends > 0 then redis.call('PEXPIREAT', theirs, ends) end
    -- Who spoke until now is not known, so it teaches nothing of the user.
    local last = redis.call('XREVRANGE', turns_key(p, session), '+', '-', 'COUNT', 1)[1]
    redis.call('HSET', key, 'user', user, 'learned_until', last and last[1] or '0-0')
    redis.call('ZREM', nobodys, session)
    return user
end
