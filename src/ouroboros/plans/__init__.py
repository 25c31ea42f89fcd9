"""Pure functions that say what will be done: argv, SQL, rendered files. Nothing runs here."""
