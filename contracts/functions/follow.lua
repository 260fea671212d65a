-- attach, detach, cancel, fail, forget: what others than the owner may do.

-- KEYS: prefix. ARGV: id, access. Register first, then read the log to its tail, then trust the mailbox beyond it.
-- Answers state, tail; nothing when the request is unknown.
local function attach(keys, args)
    local p, id, access = keys[1], args[1], args[2]
    local state = redis.call('HGET', request_key(p, id), 'state')
    if not state then return {} end
    if not ENDED[state] then add_follower(p, id, access) end
    return { state, (tail_of(p, id)) }
end

-- KEYS: prefix. ARGV: id, access. Answers how many followers remain.
local function detach(keys, args)
    local p, id, access = keys[1], args[1], args[2]
    local key, rest = request_key(p, id), {}
    local followers = redis.call('HGET', key, 'followers')
    if not followers then return 0 end
    for other in string.gmatch(followers, '%S+') do
        if other ~= access then rest[#rest + 1] = other end
    end
    if #rest == 0 then redis.call('HDEL', key, 'followers') else redis.call('HSET', key, 'followers', table.concat(rest, ' ')) end
    return #rest
end

-- KEYS: prefix. ARGV: id, payload of the end. What waits ends here and now, also for its next worker; what runs is told
-- at its next append. Answers the state before; nothing when the request is unknown.
local function cancel(keys, args)
    local p, id, payload = keys[1], args[1], args[2]
    local request = read_request(p, id)
    if not request.state then return {} end
    if ENDED[request.state] then return { request.state } end
    if request.generation then
        redis.call('HSET', request_key(p, id), 'cancel', 'cancel')
    else
        end_idle(p, id, request, 'cancelled', 'c', payload)
    end
    return { request.state }
end

-- KEYS: prefix. ARGV: id, payload of the end. Access gives up a request that never got to the queue.
local function fail(keys, args)
    local p, id, payload = keys[1], args[1], args[2]
    local request = read_request(p, id)
    if request.state ~= 'waiting' then return { request.state or '' } end
    end_idle(p, id, request, 'failed', 'x', payload)
    return { 'waiting' }
end

-- For so long a request that was never queued is known to have ended: whoever still means to queue it shall not.
local UNQUEUED_SECONDS = 7200

-- KEYS: prefix. ARGV: id. Remove a request that has ended, with its log, its letter and its idempotency record. Answers
-- the state of one that has not; else OK and how many there were: requests, letters, records.
local function forget(keys, args)
    local p, id = keys[1], args[1]
    local request = read(request_key(p, id), 'state', 'entry', 'letter', 'remembered', 'index', 'body')
    if request.state and not ENDED[request.state] then return { request.state } end
    local letters = request.letter and redis.call('XDEL', deadletters_key(p), request.letter) or 0
    local records = 0
    if request.remembered and redis.call('HGET', request.remembered, 'request') == id then
        records = redis.call('DEL', request.remembered)
    end
    redis.call('DEL', replies_key(p, id), request_key(p, id))
    if request.state and not request.entry then
        redis.call('HSET', request_key(p, id), 'state', request.state)
        redis.call('EXPIRE', request_key(p, id), UNQUEUED_SECONDS)
    end
    if request.index then redis.call('ZREM', request.index, id) end
    return { 'OK', request.body and 1 or 0, letters, records }
end
