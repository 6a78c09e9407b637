"""Scripts that run on without the connection: started once, found again, tidied up."""
