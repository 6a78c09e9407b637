"""Inventories other tools keep - tables and Ansible's - read as they are and turned into ours.

`reading.read_foreign` is the way in. Nothing here contacts an endpoint, resolves a secret or takes
an agreement over; nothing is run but an inventory program that a person has trusted.
"""
