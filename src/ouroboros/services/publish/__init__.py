"""Publishing: from a commit to a checked preview, or to the preview that was there before.

`pipeline` declares the steps in their order; read it first. Each step is a function in a module
of its own that takes the `Work` and returns what it found, and may be run again.
"""
