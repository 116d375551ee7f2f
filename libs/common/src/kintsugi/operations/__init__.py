"""What operators need of a service: what stands still and why, the story of a case, release and discard."""
