"""Gold customers overflow: who would have to wait for the fleet goes to the batch class instead, at its price.

For tenants whose limits say ``on_full: batch``; the others are served as ``Fair`` does.
"""

from __future__ import annotations

from contracts.messages import AdmissionQuery, ServiceClass
from limiter.payer import Payer
from limiter.policies.fair import Fair
from limiter.policy import Counter
from limiter.tariff import Cost


class Overflow(Fair):
    def service_class(self, query: AdmissionQuery, cost: Cost, payer: Payer, counter: Counter) -> ServiceClass:
        """Batch where the fleet, with what this tenant has waiting already, has no room for another."""
        taken = counter.outstanding + counter.room.waiting_of(query.tenant)
        if payer.limits.on_full == "batch" and taken >= self.takes(counter):
            return "batch"
        return super().service_class(query, cost, payer, counter)
