"""What is registered by being imported."""
