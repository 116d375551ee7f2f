"""A service that does nothing but answer, so that the office is tested without the real ones."""
