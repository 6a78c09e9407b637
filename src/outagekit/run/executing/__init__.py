"""The executing side of a run: lanes that carry out orders over transports."""
