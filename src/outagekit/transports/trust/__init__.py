"""What is believed of each client's machines: host keys and machine ids and their place."""
