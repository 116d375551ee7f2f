"""Measurements as ratios to a floor and a peer in the same run: ``python -m bench``, results in build/bench.json."""
