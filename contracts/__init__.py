"""What the services agree on: ids, messages, states, Redis keys and functions, errors, connections, logs.

The ground floor: it imports nothing of ours, and everything else imports it.
"""
