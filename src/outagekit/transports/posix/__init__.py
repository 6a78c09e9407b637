"""POSIX endpoints: commands for `sh` and `bash`, and scripts that run on there alone. Pure."""
