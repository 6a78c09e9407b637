"""SSH: the way to a server, the login, commands and files; all over paramiko."""
