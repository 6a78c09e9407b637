"""The command line: one file per command group, one screen, and no logic of the rooms below."""
