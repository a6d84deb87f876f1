"""The errors of this package; wrong arguments are ValueError and TypeError."""


class VAEError(Exception):
    """One line that says what is wrong, with which file or value, and what to do."""


class BundleError(VAEError):
    """A bundle is missing, damaged, foreign, or written for a newer schema."""


class ProviderError(VAEError):
    """The execution provider that was asked for cannot run here, and why."""
