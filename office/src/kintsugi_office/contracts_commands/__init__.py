"""``kintsugi contracts``: the contracts as people check, release, compare and read them in a terminal."""
