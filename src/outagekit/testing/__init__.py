"""Public fakes for the seams of the product. Nothing in the product itself imports this room."""
