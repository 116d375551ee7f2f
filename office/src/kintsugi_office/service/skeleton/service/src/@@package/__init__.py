"""@@Title: a service of its own, beside those of the office."""
