"""The watchdog: notices that the engine is dead or says nothing, and starts it anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from contracts import logs
from inference_worker.engines.port import Engine, EngineDied

LOOK_EVERY = timedelta(seconds=1)


class Watchdog:
    """Looks after one engine. ``death`` says what it died of, while it is dead."""

    def __init__(
        self, engine: Engine, stuck_after: timedelta, silence: Callable[[], float], on_death: Callable[[], None]
    ):
        """``silence``: for how many seconds requests have run without a token; 0 when none runs."""
        self.death: EngineDied | None = None
        self._engine = engine
        self._stuck_after = stuck_after.total_seconds()
        self._silence = silence
        self._on_death = on_death

    async def watch(self) -> None:
        """Look, for ever."""
        while True:
            await asyncio.sleep(min(LOOK_EVERY.total_seconds(), self._stuck_after / 2))
            if self.death is not None:
                continue
            try:
                await self._engine.check()
            except EngineDied as error:
                self.died(error)
            if self._silence() > self._stuck_after:
                self.died(EngineDied(f"the engine gave no token for {self._stuck_after:g} s"))

    def died(self, error: EngineDied) -> None:
        """Hear of a death, from whoever noticed it first."""
        if self.death is None:
            self.death = error
            # No traceback: its frames hold requests, and their prompts belong into no log.
            logs.get().error("engine.died", sentence="The engine died; its requests are given back.", reason=str(error))
            self._on_death()

    async def revive(self) -> None:
        """Start the engine anew, and test it.

        Raises:
            EngineError: it does not start, or is dead again at once. The process is then of no use.
        """
        await self._engine.stop()
        await self._engine.start()
        await self._engine.check()
        self.death = None
        logs.get().info("engine.restarted", sentence="The engine was started anew; taking requests again.")
