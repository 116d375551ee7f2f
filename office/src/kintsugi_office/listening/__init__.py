"""``kintsugi listen`` and ``kintsugi environment``: subscribing inside the office."""
