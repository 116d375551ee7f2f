"""One country office on one machine."""
