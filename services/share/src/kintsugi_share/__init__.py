"""The share service: what partners receive of a case, while a consent for them holds, and nothing else."""
