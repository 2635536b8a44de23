"""The command ``vae-anomaly``: arguments in, one call out."""
