"""The notify service of Kintsugi."""
