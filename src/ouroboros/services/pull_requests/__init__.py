"""Pull requests: received by webhook, followed by runs, and reported back."""
