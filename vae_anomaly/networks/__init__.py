"""The encoder and decoder networks: how they are specified, built and evaluated."""
