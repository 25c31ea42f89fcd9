"""Ouroboros: full-stack preview environments on one plain Linux host."""

__version__ = "0.1.0"
