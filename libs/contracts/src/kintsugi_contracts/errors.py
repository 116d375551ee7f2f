"""What keeps contracts from being used."""

from __future__ import annotations


class ContractError(Exception):
    """The contracts cannot be used as they are. The text says which file or package, what is wrong, and what to do."""
