-- attach, detach, cancel, fail: what others than the owner may do.

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
