"""Executed instructions in place of milliseconds: QEMU counts them, and they repeat."""
