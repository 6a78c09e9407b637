"""Ansible inventories: INI, YAML, JSON, programs and folders, with their group_vars and host_vars.

What a host's variables come to is what `ansible-inventory --list` says with Ansible's default
settings, or the file is refused with the reason. Templates are never rendered and nothing
encrypted is ever opened.
"""
