"""The command line: parse, one call, present. Heavy imports wait until a command needs them."""
