"""The way to an SSH server: through names, jump hosts and programs to a stream of bytes."""
