"""Kafka's own partitioner (murmur2), so that every producer in every language agrees where a subject lives."""

from __future__ import annotations

import struct
from functools import lru_cache

PARTITIONS = 12
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """The 32-bit murmur2 hash as Kafka's Java client computes it, as an unsigned number."""
    length = len(data)
    h = 0x9747B28C ^ length
    words = length // 4
    for k in struct.unpack_from(f"<{words}I", data):
        k = k * _M & _MASK
        k ^= k >> 24
        h = (h * _M & _MASK) ^ (k * _M & _MASK)
    rest = data[words * 4 :]
    if rest:
        h ^= int.from_bytes(rest, "little")
        h = h * _M & _MASK
    h ^= h >> 13
    h = h * _M & _MASK
    return h ^ (h >> 15)


@lru_cache(maxsize=65_536)
def partition_of(subject: str, partitions: int = PARTITIONS) -> int:
    """The partition of a subject's records on every topic of the platform."""
    return (murmur2(subject.encode()) & 0x7FFFFFFF) % partitions
