"""Programs that run inside an application's own environment and import nothing of the house."""
