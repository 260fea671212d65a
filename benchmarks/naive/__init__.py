"""The naive build: the same idea, tokens through Redis Streams, in the smallest form that works when nothing fails.

``access`` queues a request and reads its reply stream with a blocking XREAD of its own; ``worker`` takes requests one
by one and writes every token with an XADD of its own. 93 lines in both, imports and blanks included: there is no
admission, no lease, no continuation, no resume. It is what most people write first, and the measure for what batching,
the mailbox and raw frames bring.
"""
