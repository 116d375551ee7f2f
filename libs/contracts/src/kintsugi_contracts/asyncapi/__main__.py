"""``python -m kintsugi_contracts.asyncapi``: writes the documents, checks them, or makes pages of them."""

import typer

from kintsugi_contracts.asyncapi.command import register

app = typer.Typer(add_completion=False)
register(app)

if __name__ == "__main__":
    app()
