"""The encoder and decoder networks: specified, built by Keras, and computed for scoring."""
