"""What the service can be asked, each thing described once."""
