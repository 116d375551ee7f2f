"""What a service tells about itself: traces and metrics, never personal data."""
