"""Toolshed: the desk of a neighbourhood tool library."""
