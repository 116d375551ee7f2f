"""The contracts folder as a product: it polices itself, guards every change, and makes the documents about it."""
