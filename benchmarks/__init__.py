"""Benchmarks: one file per benchmark, over shared parts.

===============  =====================================================================================
``runner``       what all do around their measuring: options, one table, one file, the exit status
``processes``    children on loopback, their readiness, their end, the CPU seconds and memory they used
``servers``      our services, and vLLM's own server, ready to be asked
``rivals``       the contenders around the scripted engine, ours first
``environments`` rivals that are Python packages, each in a virtual environment of its own
``direct``       the scripted engine behind bare ASGI: the floor
``naive``        the same idea in its smallest form
``stamped``      a worker whose tokens say when they were made
``questions``    what a real model is asked, drawn from the sample FAQ with a seed
``scripts``      what the scripted engine is asked, and what it must answer (pure)
``chat``         how our own rivals speak OpenAI's format (pure)
``wire``         the client's connection: one request at a time, every part of the answer with its moment
``pool``         connections to one server, and what is sent over them
``load``         legs: so many streams at once, or arrivals at given moments
``held``         legs of streams that are all open, with a window in which none begins or ends
``answers``      what was received, read after the leg (pure)
``reuse``        what a prefix cache saved a conversation (pure)
``gatehouse``    a limiter with processes that ask it, and a fleet of heartbeats
``asking``       a process that asks the gate, or one of its rivals
``bare``         the round trip over Redis without a decision: the floor of the gate
``verdicts``     legs of asks, and the ledger after them (pure)
``traces``       workloads: Azure's trace, and a made-up one
``schemes``      ways to decide who may use a fleet, ours first (pure)
``simulation``   callers, a scheme and a fleet in virtual time (pure)
``shares``       who got how much of the fleet, window by window (pure)
``tales``        situations in which tenants share a fleet (pure)
``rounds``       A-B-B-A
``stats``        percentiles, ratios and differences of pairs, and their intervals (pure)
``report``       one table, one JSON file
``plots``        lines and distributions, as SVG and PNG
===============  =====================================================================================

The others are the benchmarks: ``python -m benchmarks.NAME`` runs one; ``docs/benchmarks.md`` says what each measures.
Figures land in ``benchmarks/results/``, which is not committed.
"""
