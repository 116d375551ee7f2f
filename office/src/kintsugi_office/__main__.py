"""``python -m kintsugi_office`` is the ``kintsugi`` command."""

from kintsugi_office.cli import app

if __name__ == "__main__":
    app(prog_name="kintsugi")
