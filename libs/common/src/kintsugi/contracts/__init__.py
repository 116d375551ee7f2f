"""What services share: event models generated from `contracts/`, and the registry that finds them."""
