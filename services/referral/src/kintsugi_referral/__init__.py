"""The referral service of Kintsugi."""
