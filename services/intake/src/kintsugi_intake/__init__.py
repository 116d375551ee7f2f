"""The intake service of Kintsugi."""
