-- wait and submit: how a request comes to be.

-- What both store. ARGV: id, model, class, tenant, session ('' = none), body, deadline in ms from now, retention in s.
-- `remembered` is its idempotency record, `index` that of its user's requests: '' for none.
local function store(p, state, args, remembered, index)
    local id, model, class, tenant, session, body, deadline_ms, retain = unpack(args, 1, 8)
    local now = now_ms()
    local deadline = now + deadline_ms
    -- First what a sweep and its user find it by: torn behind them, nothing is left but a deadline of nobody.
    redis.call('ZADD', deadlines_key(p), deadline, id)
    if index ~= '' then note_gone(index, id, now, deadline + 2000 * retain) end
    local fields = { 'state', state, 'model', model, 'class', class, 'tenant', tenant, 'body', body,
        'deadline', deadline, 'retain', retain, 'deaths', 0 }
    for name, value in pairs({ session = session, remembered = remembered, index = index }) do
        if value ~= '' then
            fields[#fields + 1] = name
            fields[#fields + 1] = value
        end
    end
    redis.call('HSET', request_key(p, id), unpack(fields))
end

-- A key that a call was given, or ''.
local function given(key, p) return key ~= p and key or '' end

-- nil when `key` is free or ours; else the answer to give. A key whose request is gone, or came to nothing (cancelled
-- with its client, failed, refused), is free: to try again is what the key is for.
local function known(p, key, id, fingerprint)
    if key == '' then return nil end
    local record = read(key, 'request', 'fingerprint')
    if not record.request or record.request == id then return nil end
    local state = redis.call('HGET', request_key(p, record.request), 'state')
    if not state or state == 'cancelled' or state == 'failed' then return nil end
    if record.fingerprint ~= fingerprint then return { 'CONFLICT' } end
    return { 'EXISTING', record.request }
end

local function remember(key, id, fingerprint, retain)
    if key == '' then return end
    redis.call('HSET', key, 'request', id, 'fingerprint', fingerprint)
    redis.call('EXPIRE', key, 2 * retain)
end

-- The request that keeps the session busy, unless it has ended and only left its mark behind.
local function busy_with(p, session, id)
    if session == '' then return nil end
    local other = redis.call('HGET', session_key(p, session), 'busy')
    if not other or other == id then return nil end
    local state = redis.call('HGET', request_key(p, other), 'state')
    if not state or ENDED[state] then return nil end
    return other
end

-- KEYS: prefix, idempotency record, index of its user's requests; the prefix again in the place of one that is not
-- there. ARGV: the eight of store, fingerprint ('' = no idempotency key), ms for which its access process keeps it.
-- Answers OK | EXISTING id | CONFLICT.
local function wait(keys, args)
    local p, id, fingerprint = keys[1], args[1], args[9]
    local idempotency, index = given(keys[2], p), given(keys[3], p)
    local answer = known(p, idempotency, id, fingerprint)
    if answer then return answer end
    if redis.call('EXISTS', request_key(p, id)) == 0 then
        store(p, 'waiting', args, idempotency, index)
        redis.call('HSET', request_key(p, id), 'kept', now_ms() + args[10])
    end
    remember(idempotency, id, fingerprint, args[8])
    return { 'OK' }
end

-- KEYS: prefix. ARGV: ms, ids. Their access process still means to submit them. Answers those that wait indeed.
local function keep_waiting(keys, args)
    local p, kept, waiting = keys[1], now_ms() + args[1], {}
    for at = 2, #args do
        local key = request_key(p, args[at])
        if redis.call('HGET', key, 'state') == 'waiting' then
            redis.call('HSET', key, 'kept', kept)
            redis.call('HDEL', key, 'orphaned')
            waiting[#waiting + 1] = args[at]
        end
    end
    return waiting
end

-- A repetition writes too: WAIT speaks of the writes of its own connection, and without one it would confirm at once.
local function asked_again(p, id) redis.call('HINCRBY', request_key(p, id), 'asked', 1) end

-- ARGV: as wait's first nine, then queue bound, grant end in ms (0 = no grant needed), question for the session
-- ('' = none), first follower ('' = none), length of the session's stream, tokens that memory added to the prompt, another
-- session that it is about ('' = none).
-- Answers OK | EXISTING id | CONFLICT | FULL | BUSY id | LATE | ENDED state | UNKNOWN (the tenant has no such session any
-- more).
--
-- The order heals: state, then entry, then session. Torn after the state, the request has no entry and a sweep gives it
-- one; torn after the entry, it runs and its end writes the turn.
local function submit(keys, args)
    local p, id, model, class, session, fingerprint = keys[1], args[1], args[2], args[3], args[5], args[9]
    local bound, grant_until, question, follower = tonumber(args[10]), tonumber(args[11]), args[12], args[13]
    local idempotency, index = given(keys[2], p), given(keys[3], p)
    local answer = known(p, idempotency, id, fingerprint)
    if answer then
        if answer[2] then asked_again(p, answer[2]) end
        return answer
    end
    local before = redis.call('HMGET', request_key(p, id), 'state', 'entry')
    if before[2] then  -- done by an earlier copy of this call, however it has gone since
        asked_again(p, id)
        return { 'OK' }
    end
    if before[1] and ENDED[before[1]] then return { 'ENDED', before[1] } end
    local queue = requests_key(p, model, class)
    if redis.call('XLEN', queue) >= bound then return { 'FULL' } end
    if grant_until > 0 and now_ms() > grant_until then return { 'LATE' } end
    for _, its in ipairs({ session, args[16] }) do
        if its ~= '' and redis.call('HGET', session_key(p, its), 'tenant') ~= args[4] then return { 'UNKNOWN' } end
    end
    local other = busy_with(p, session, id)
    if other then return { 'BUSY', other } end

    store(p, 'queued', args, idempotency, index)
    if follower ~= '' then add_follower(p, id, follower) end
    enter_queue(p, id, model, class)
    if session ~= '' then
        redis.call('HSET', session_key(p, session), 'busy', id, 'window', args[15])
        local turn = enter_turn(p, session, args[14], 'type', 'turn.started', 'request', id, 'text', question)
        redis.call('HSET', request_key(p, id), 'turn', turn)
    end
    remember(idempotency, id, fingerprint, args[8])
    return { 'OK' }
end
