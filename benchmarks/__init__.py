"""Benchmarks: one file per benchmark, over shared parts.

==============  ======================================================================================
``processes``   children on loopback, their readiness, their end, and the CPU seconds they used
``servers``     what is compared: our whole path and its rivals, ready to be asked
``questions``   what is asked, drawn from the sample FAQ with a seed
``wire``        the client's connection: one request at a time, every part of the answer with its moment
``load``        legs: so many streams at once, or arrivals at given moments
``answers``     what was received, read after the leg; lost and doubled tokens are found here (pure)
``rounds``      A-B-B-A
``stats``       percentiles, ratios of pairs and their intervals (pure)
``report``      one table, one JSON file
==============  ======================================================================================

``python -m benchmarks.NAME`` runs one. Figures land in ``benchmarks/results/``, which is not committed.
"""
