"""One file per command, each with its click command as `command`; see `vae_runtime.cli`."""
