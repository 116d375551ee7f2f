"""What operators of a country office run: the ``kintsugi`` command, and what prepares servers for the services."""
