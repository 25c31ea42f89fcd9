"""Leasing: giving slots to runs, keeping them, and taking them back."""
