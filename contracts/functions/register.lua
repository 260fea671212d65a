-- Functions are global to a server, so each carries its library's version in its name.

local allow_oom = { 'allow-oom' }

local function register(name, callback, flags)
    redis.register_function { function_name = name .. '_' .. VERSION, callback = callback, flags = flags or {} }
end

register('wait', wait)
register('keep_waiting', keep_waiting, allow_oom)
register('submit', submit)
register('take', take, allow_oom)
register('append', append, allow_oom)
register('renew', renew, allow_oom)
register('release', release, allow_oom)
register('attach', attach, allow_oom)
register('detach', detach, allow_oom)
register('cancel', cancel, allow_oom)
register('fail', fail, allow_oom)
register('sweep', sweep, allow_oom)
register('forget', forget, allow_oom)
register('drop', drop, allow_oom)
register('push', push)
register('quota_charge', charge)
register('say', say)
register('unsay', unsay, allow_oom)
register('adopt', adopt, allow_oom)
register('summarise', summarise)
register('advance_learning', advance_learning)
register('profile_switch_learning', switch_learning, allow_oom)
register('profile_learn', learn)
register('profile_forget', forget_learned, allow_oom)
-- Out of memory, the gate goes on: submit is what refuses new work.
register('gate_takeover', takeover, allow_oom)
register('gate_keep', keep, allow_oom)
register('gate_resign', resign, allow_oom)
register('gate_commit', commit, allow_oom)
