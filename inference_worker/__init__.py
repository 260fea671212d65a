"""Pulls requests when it has room, runs an engine, writes replies: *take → generate → append → end*."""
