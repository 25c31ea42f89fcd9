"""Where the world comes in: command line, HTTP, worker, supervisor, web surface."""
