"""The assessment service of Kintsugi."""
