"""Every hot SQL statement of the kit, and how rows become values."""
