"""How vLLM's processes wait for one another on a CPU. A plugin, since nothing of ours runs in them otherwise.

Its engine and its worker wait in a loop around ``sched_yield``. Some kernels (seen on Linux 6.18, two processors) then
let nobody else run for as long as an answer takes: for four seconds no process of the machine, Redis and our heartbeats
among them, got a processor, and leases were lost while their worker lived. vLLM has a second way, for Pythons whose
``sched_yield`` is unfit: with it, nobody waited for a tenth of a second in the same story.
"""

from __future__ import annotations

import os

MARK = "PENSTOCK_ENGINE_OF_A_WORKER"
"""Set in a worker's process, and so in those that vLLM starts from it: what else runs vLLM here keeps vLLM's way."""


def install() -> None:
    """Called by vLLM in each of its processes (entry point ``vllm.general_plugins``), some more than once."""
    if MARK not in os.environ:
        return
    import vllm.distributed.utils
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        vllm.distributed.utils.USE_SCHED_YIELD = False
