"""Ouroboros for coding agents, by the Model Context Protocol: a client of the API like others."""
