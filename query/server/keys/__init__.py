"""API keys: made by the operator, kept as hashes."""
