"""Inventories: files become clients, sites and endpoints; selectors choose among them."""
