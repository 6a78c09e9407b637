"""Playbooks: YAML text becomes a `Playbook`, or every problem in it at once."""
