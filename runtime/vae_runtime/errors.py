"""The errors this package raises for anything but a wrong argument (those are ValueError and TypeError)."""


class VAEError(Exception):
    """One line that says what is wrong, with which file or value, and what to do."""


class BundleError(VAEError):
    """A bundle is missing, damaged, foreign, or written for a newer schema."""


class ProviderError(VAEError):
    """The execution provider that was asked for cannot run here, and why."""
