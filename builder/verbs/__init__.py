"""One function per verb: what the command line and a CI step call."""
