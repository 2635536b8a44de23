"""``python -m vae_anomaly`` is the command ``vae-anomaly``."""

from vae_anomaly.cli.main import main

if __name__ == "__main__":
    main()
