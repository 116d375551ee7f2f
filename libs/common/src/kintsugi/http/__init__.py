"""The HTTP border of a service: the application factory, problems, health and the headers that carry versions."""
