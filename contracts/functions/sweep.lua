-- sweep: what nobody else would ever end or move. Workers and limiter call it on a timer, and one of them does it.

local LEASE_MS = 5000
local ORPHAN_MS = 5000
local CURSOR_SECONDS = 3600

-- Past its deadline: ended at once where nobody works on it, through its worker where one does.
local function end_late(p, id, now, payload)
    local request = read_request(p, id)
    if not request.state or ENDED[request.state] then
        redis.call('ZREM', deadlines_key(p), id)
    elseif request.state == 'running' and tonumber(redis.call('ZSCORE', leases_key(p, request.model), id) or 0) > now then
        if not request.cancel then redis.call('HSET', request_key(p, id), 'cancel', 'deadline') end
    else
        end_idle(p, id, request, 'expired', 'f', payload)
    end
end

-- Who waits for admission is kept by the access process that will submit it. Where nobody does (it died, or has
-- submitted this already and Redis has lost it), nobody will. It is ended on the second look, a little later: Redis itself
-- may have been away, and those who keep it come back a moment after.
local function end_orphan(p, id, request, now, payload)
    if not request.kept or now <= tonumber(request.kept) then return end
    if request.orphaned then
        end_idle(p, id, request, 'failed', 'x', payload)
    else
        redis.call('HSET', request_key(p, id), 'orphaned', '1', 'kept', now + ORPHAN_MS)
    end
end

-- See that a queued request has an entry that a take will find. One that was delivered to a take and is still queued was
-- torn out of that take. After a queue was lost, an entry of the same id may be another request's.
local function mend_entry(p, id, request)
    local queue = requests_key(p, request.model, request.class)
    local entry = request.entry and redis.call('XRANGE', queue, request.entry, request.entry)[1]
    if entry and entry[2][2] == id then
        local delivered = redis.pcall('XPENDING', queue, GROUP, request.entry, request.entry, 1)
        if delivered.err or #delivered == 0 then return end
        leave_queue(p, request)
    end
    enter_queue(p, id, request.model, request.class)
end

local function has_owner_or_lease(p, id, model)
    return redis.call('ZSCORE', leases_key(p, model), id) or redis.call('ZSCORE', suspects_key(p, model), id)
end

-- Bring one unended request in line with its log, and its whereabouts with its state.
local function mend(p, id, now, orphaned)
    local request = read_request(p, id)
    if not request.state or ENDED[request.state] then return redis.call('ZREM', deadlines_key(p), id) end
    local _, ended = tail_of(p, id)
    if ended then
        settle_end(p, id, request, ended, '', '')
    elseif request.state == 'waiting' then
        end_orphan(p, id, request, now, orphaned)
    elseif request.state == 'queued' then
        mend_entry(p, id, request)
    elseif not has_owner_or_lease(p, id, request.model) then
        -- Its owner, if it lives, renews this one; else it runs out as any other.
        redis.call('ZADD', leases_key(p, request.model), now + LEASE_MS, id)
    end
end

-- The next unended requests to look at, in rounds over all of them.
local function next_looks(p, at_most)
    local first = tonumber(redis.call('GET', swept_key(p)) or 0)
    local ids = redis.call('ZRANGE', deadlines_key(p), first, first + at_most - 1)
    if #ids < at_most then
        redis.call('DEL', swept_key(p))
    else
        redis.call('SET', swept_key(p), first + at_most, 'EX', CURSOR_SECONDS)
    end
    return ids
end

-- KEYS: prefix. ARGV: payloads of the ends expired and orphaned, limit, ms that must lie between two sweeps (0 = none).
-- Answers how many were past their deadline.
local function sweep(keys, args)
    local p, at_most, every = keys[1], tonumber(args[3]), tonumber(args[4])
    if every > 0 and not redis.call('SET', sweeping_key(p), '1', 'NX', 'PX', every) then return 0 end
    local now = now_ms()
    local late = redis.call('ZRANGEBYSCORE', deadlines_key(p), '-inf', now, 'LIMIT', 0, at_most)
    for _, id in ipairs(late) do end_late(p, id, now, args[1]) end
    for _, id in ipairs(next_looks(p, at_most)) do mend(p, id, now, args[2]) end
    return #late
end
