"""The gate: a service of its own that grants, queues or refuses each request before it reaches a stream.

One limiter is active, the others stand by. It hears asks, decides in memory, commits to Redis and publishes.
"""
