"""Windows endpoints: commands for PowerShell and cmd, and what they answer. Pure."""
