"""A small service with every kind of input and debt, and an office to run it in: what the recovery tests recover."""
