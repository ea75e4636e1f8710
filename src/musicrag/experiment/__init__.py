"""From a checked configuration to a finished run, and from finished runs to a table."""
