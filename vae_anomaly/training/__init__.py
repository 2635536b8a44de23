"""The training of the networks: the loop, the compiled step and the batches of rows."""
